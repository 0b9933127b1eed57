"""Transcripts: what a model said and sounded like for each test utterance, and what that is worth."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from attrs import field, frozen

from myoflow.answers.base import Answers, Floats, Ints, Strings
from myoflow.errors import InputError
from myoflow.files import beside
from myoflow.text.measures import Errors, character_errors, errors

if TYPE_CHECKING:
    from myoflow.speech.known import Known

Array = npt.NDArray[Any]

# The rows of a tally; each holds errors (substituted, left out, put in), and what there was.
GREEDY, LETTERS, DECODED, OTHERS, HEARD, HEARD_PLAIN, FLOOR, SOUND, PHONES, UNAIDED, CLEAR = range(11)
ROWS = 11
METRICS = {
    "wer": DECODED,
    "wer_no_lm": UNAIDED,
    "wer_greedy": GREEDY,
    "cer": LETTERS,
    "wer_control": OTHERS,
    "mcd": SOUND,
    "wer_audio": HEARD,
    "wer_audio_greedy": HEARD_PLAIN,
    "wer_audio_floor": FLOOR,
    "phoneme_accuracy": PHONES,
    "estoi": CLEAR,
}
UNDECODED = "∅"  # stands for a text that nobody asked for; an empty text is an answer


def _rate(row: int) -> Callable[[Array], Floats]:
    def rate(tally: Array) -> Floats:
        return np.asarray(tally[..., row, :3].sum(-1) / np.maximum(tally[..., row, 3], 1), np.float64)

    return rate


def _mean(row: int) -> Callable[[Array], Floats]:
    def mean(tally: Array) -> Floats:
        return np.asarray(tally[..., row, 0] / np.maximum(tally[..., row, 3], 1e-9), np.float64)

    return mean


def _objects(values: Any) -> Array:
    found = np.empty(len(values), object)
    for i, value in enumerate(values):
        found[i] = np.asarray(value, np.float32)
    return found


def _texts(values: Any) -> Strings:
    return np.asarray(values, dtype=np.str_)


def _numbers(values: Any) -> Floats:
    return np.asarray(values, dtype=np.float64)


def _integers(values: Any) -> Ints:
    return np.asarray(values, dtype=np.int64)


@frozen(eq=False)
class Transcripts(Answers):
    """One row an utterance. `text` is what was said in truth; `greedy` the best path's text, `decoded` that of the beam
    search with lexicon and language model, `unaided` that of the search without the model, `heard` and `heard_plain`
    what a recogniser makes of the synthesised voice with and without its lexicon, `floor` what it makes of the true
    voice. A text that nobody asked for is UNDECODED.

    `audio` are spectra `(frame, band)` as log-mel, `mcd` their distance in dB from the true ones along the best
    warping, `frames` how many frames that has. `estoi` of its sound is there of what was spoken aloud, which it keeps
    time with, else nan. `phones` (right, all) counts frames. `told_of` is what is to be said of
    the search and the recogniser, as JSON, the same in all rows of a model. `knows` is what the model must know beside
    its weights; it is kept in its folder, not with the answers.
    """

    rows: ClassVar[str] = "utterances"
    said: ClassVar[tuple[str, ...]] = (
        "greedy", "decoded", "unaided", "heard", "heard_plain", "audio", "mcd", "frames", "estoi", "phones_right",
        "phones", "told_of",
    )  # fmt: skip
    known: ClassVar[tuple[str, ...]] = (
        "subject", "session", "repetition", "recording", "start_s", "text", "mode", "twin", "floor",
    )  # fmt: skip
    functions: ClassVar[Mapping[str, Any]] = {
        name: (_mean if row in (SOUND, PHONES, CLEAR) else _rate)(row) for name, row in METRICS.items()
    }

    greedy: Strings = field(converter=_texts)
    decoded: Strings = field(converter=_texts)
    unaided: Strings = field(converter=_texts)
    heard: Strings = field(converter=_texts)
    heard_plain: Strings = field(converter=_texts)
    audio: Array = field(converter=_objects)
    mcd: Floats = field(converter=_numbers)
    frames: Floats = field(converter=_numbers)
    estoi: Floats = field(converter=_numbers)
    phones_right: Floats = field(converter=_numbers)
    phones: Floats = field(converter=_numbers)
    text: Strings = field(converter=_texts)
    mode: Strings = field(converter=_texts)
    twin: Strings = field(converter=_texts)
    floor: Strings = field(converter=_texts)
    subject: Strings = field(converter=_texts)
    session: Strings = field(converter=_texts)
    repetition: Ints = field(converter=_integers)
    recording: Strings = field(converter=_texts)
    start_s: Floats = field(converter=_numbers)
    told_of: Strings = field(converter=_texts)
    knows: Known | None = None

    def __attrs_post_init__(self) -> None:
        self.check_rows()

    def counts(self) -> Floats:
        """Every row's part of the tally, `(row, 11, 4)`."""
        found = np.zeros((len(self), ROWS, 4))
        pairs = {GREEDY: self.greedy, DECODED: self.decoded, UNAIDED: self.unaided, HEARD: self.heard}
        pairs[HEARD_PLAIN] = self.heard_plain
        for i, text in enumerate(self.text):
            for row, said in (*pairs.items(), (FLOOR, self.floor)):
                found[i, row] = _counted(errors, text, said[i])
            found[i, LETTERS] = _counted(character_errors, text, self.greedy[i])
            best = self.decoded[i] if self.decoded[i] != UNDECODED else self.greedy[i]
            if (other := self._other(i)) is not None:
                found[i, OTHERS] = _counted(errors, other, best)
        found[:, SOUND, 0], found[:, SOUND, 3] = self.mcd * self.frames, self.frames
        found[:, PHONES, 0], found[:, PHONES, 3] = self.phones_right, self.phones
        clear = np.isfinite(self.estoi)
        found[clear, CLEAR, 0], found[clear, CLEAR, 3] = self.estoi[clear], 1
        return found

    def _other(self, row: int) -> str | None:
        """Another sentence than a row's, that of an utterance far away: the same may have been said several times."""
        first = row + max(1, len(self) // 2)
        texts = (str(self.text[k % len(self)]) for k in range(first, first + len(self)))
        return next((text for text in texts if text != self.text[row]), None)

    def tally(self, unit: Ints | None = None) -> Array:
        """Errors and lengths added up by unit, `(unit, 11, 4)`."""
        counts = self.counts()
        if unit is None:
            return np.asarray(counts.sum(0, keepdims=True))
        found = np.zeros((int(unit.max()) + 1, *counts.shape[1:]))
        np.add.at(found, unit, counts)
        return found

    def measured(self, metrics: Sequence[str]) -> list[str]:
        """Those of the metrics that something was counted for: where nobody listened, no error was heard either."""
        there = self.tally()[0, :, 3] > 0
        return [name for name in metrics if there[METRICS[name]]]

    def goodness(self) -> Floats:
        """1 minus the word error rate of a row, of its best text; minus the distance of its sound without any text."""
        counts = self.counts()
        row = DECODED if self.decoded[0] != UNDECODED else GREEDY
        if self.greedy[0] == UNDECODED:
            return np.asarray(-self.mcd)
        return np.asarray(1 - counts[:, row, :3].sum(1) / np.maximum(counts[:, row, 3], 1))

    def told(self) -> dict[str, Any]:
        """How many utterances and words were scored."""
        return {
            "utterances": len(self),
            "words": int(sum(len(text.split()) for text in self.text)),
            "windows": len(self),
        }

    def keep(self, folder: Path) -> None:
        if self.knows is not None:
            self.knows.save(folder)

    def save(self, path: str | Path) -> None:
        """Write one .npz without pickles; it is complete or absent. Spectra stand one behind the other."""
        fields: Any = {name: np.asarray(getattr(self, name)) for name in (*self.said, *self.known)}
        lengths = np.array([len(sound) for sound in self.audio], np.int64)
        bands = max((sound.shape[1] for sound in self.audio if sound.ndim == 2), default=0)
        whole = [sound.reshape(-1, bands) for sound in self.audio if len(sound)]
        fields["audio"] = np.concatenate(whole).astype(np.float16) if whole else np.empty((0, bands), np.float16)
        with beside(Path(path)) as part, part.open("wb") as file:
            np.savez_compressed(file, audio_lengths=lengths, **fields)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote. Raises InputError when the file is absent or something else."""
        try:
            with np.load(path, allow_pickle=False) as file:
                fields = {name: file[name] for name in (*cls.said, *cls.known) if name in file}
                for name, nothing in (("unaided", UNDECODED), ("estoi", np.nan)):  # earlier runs did not ask
                    fields.setdefault(name, np.full(len(fields["text"]), nothing))
                fields["told_of"] = np.broadcast_to(fields["told_of"], len(fields["text"]))
                fields["audio"] = np.split(fields["audio"], np.cumsum(file["audio_lengths"])[:-1])
                return cls(**fields)
        except FileNotFoundError:
            raise InputError(f"{path}: there is no such file of predictions") from None
        except (KeyError, ValueError, AttributeError, TypeError, zipfile.BadZipFile, EOFError) as error:
            raise InputError(f"{path}: not a file of predictions ({error})") from None


def _counted(measure: Callable[[str, str], Errors], wanted: str, said: str) -> tuple[float, ...]:
    """Errors and how much there was; nothing where no text was asked for."""
    if said == UNDECODED:
        return (0.0, 0.0, 0.0, 0.0)
    found = measure(wanted, said)
    return (float(found.substitutions), float(found.deletions), float(found.insertions), float(found.words))
