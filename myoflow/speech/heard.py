"""Heard: what a recogniser from elsewhere hears in a run's made voices and in the true ones, beside the run's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attrs import asdict, field, frozen

from myoflow.errors import InputError
from myoflow.files import write_json
from myoflow.speech.answers import UNDECODED
from myoflow.text.measures import Rate, errors, rate

FOLDER = "judges"
COLUMNS = ("recording", "text", "made", "true", "own_made", "own_plain", "own_true")


def _row(values: Any) -> tuple[str, ...]:
    return tuple(str(value) for value in values)


@frozen
class Heard:
    """One row an utterance, all texts normalised alike. `made` is what `judge` hears in the made voice, `true` in the
    true one, `own_made`, `own_plain` and `own_true` what the recipe's own recogniser does, `own_plain` without its
    lexicon. UNDECODED stands for a voice that is not there.
    """

    judge: str
    family: str
    seed: int
    recording: tuple[str, ...] = field(converter=_row)
    text: tuple[str, ...] = field(converter=_row)
    made: tuple[str, ...] = field(converter=_row)
    true: tuple[str, ...] = field(converter=_row)
    own_made: tuple[str, ...] = field(converter=_row)
    own_plain: tuple[str, ...] = field(converter=_row)
    own_true: tuple[str, ...] = field(converter=_row)

    def rate(self, name: str) -> Rate | None:
        """Word error rate of a column with its interval over utterances; None where nothing was heard at all."""
        found = [
            errors(text, said) for text, said in zip(self.text, getattr(self, name), strict=True) if said != UNDECODED
        ]
        return rate(found) if found else None

    def save(self, folder: Path) -> Path:
        """Write it under `judges` in a run's folder, with its rates."""
        rates = {name: asdict(found) for name in COLUMNS[2:] if (found := self.rate(name)) is not None}
        name = "".join(c if c.isalnum() or c in "._-" else "_" for c in self.judge.strip("/.").replace("/", "_"))
        path = folder / FOLDER / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        write_json(path, {"wer": rates, **asdict(self)})
        return path

    @classmethod
    def load(cls, path: Path) -> Heard:
        """Read what `save` wrote. Raises InputError."""
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            told.pop("wer")
            return cls(**told)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} is not what a judge heard ({error}); run --judge again") from None


def all_heard(folder: Path) -> list[Heard]:
    """Of every judge that has heard a run."""
    return [Heard.load(path) for path in sorted((folder / FOLDER).glob("*.json"))]
