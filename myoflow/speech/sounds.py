"""Sounds: recorded voices as examples for a vocoder, and how well it gave them back."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from attrs import field, frozen

from myoflow.answers.base import Answers, Floats, Ints, Strings
from myoflow.dsp.mel import HOP, log_mel, resampled
from myoflow.errors import InputError
from myoflow.files import beside
from myoflow.store.whole import Whole

if TYPE_CHECKING:
    from myoflow.prepared import Prepared

Array = npt.NDArray[Any]

FULL_SCALE = 32768.0
KEPT = 6  # utterances whose sound is kept for the report


@frozen(eq=False)
class Sounds(Whole):
    """Row i is `sounds[i]` `(time,)` at 22 050 Hz with its `bands[i]` `(frame, band)`.

    A batch is `size` segments of `frames` frames, one of each utterance: at random places while training, else from
    its middle. `x` are bands `(segment, frame, band)`, `y` is sound `(segment, time)`.
    """

    per_row: ClassVar[tuple[str, ...]] = ("sounds", "bands", "ids", "subjects", "sessions", "subsets")

    sounds: tuple[Array, ...]
    bands: tuple[Array, ...]
    ids: tuple[str, ...]
    subjects: tuple[str, ...]
    sessions: tuple[str, ...]
    subsets: tuple[str, ...]
    frames: int

    @classmethod
    def of(cls, prepared: Sequence[Prepared], rate_hz: float, frames: int) -> Sounds:
        """Spoken utterances, which are those with marked phones or words, of at least one segment."""
        rows = []
        for signal in prepared:
            if not len(signal.onset) or signal.target is None:
                continue
            sound = resampled(np.asarray(signal.target[0]) / FULL_SCALE, rate_hz)
            if len(sound) // HOP >= frames:
                rows.append((sound, log_mel(sound), signal.id, signal.subject, signal.session, signal.subset))
        sounds, bands, ids, subjects, sessions, subsets = zip(*rows, strict=True) if rows else ((),) * 6
        return cls(sounds, bands, ids, subjects, sessions, subsets, frames)

    def take(self, rows: Array) -> dict[str, Array]:
        """The middle segment of the given rows."""
        return {"bands": self._cut(rows, None)[0]}

    def steps(self, size: int) -> int:
        """How many batches of `size` segments there are."""
        return -(-len(self) // size)

    def batches(self, size: int) -> Iterator[tuple[Array, Array]]:
        """The middle segment of every utterance, in order."""
        for first in range(0, len(self), size):
            yield self._cut(np.arange(first, min(first + size, len(self))), None)

    def shuffled(self, size: int, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
        """A segment of every utterance, in random order from random places."""
        order = rng.permutation(len(self))
        for first in range(0, len(self), size):
            yield self._cut(order[first : first + size], rng)

    def _cut(self, rows: Array, rng: np.random.Generator | None) -> tuple[Array, Array]:
        x, y = [], []
        for row in rows:
            spare = len(self.bands[row]) - self.frames
            first = spare // 2 if rng is None else int(rng.integers(spare + 1))
            x.append(self.bands[row][first : first + self.frames])
            y.append(self.sounds[row][first * HOP : (first + self.frames) * HOP])
        return np.stack(x), np.stack(y)


def _mean(column: int) -> Any:
    def function(tallies: Any) -> Floats:
        values = np.asarray(tallies, np.float64)
        return np.asarray(values[..., 0, column] / values[..., 0, 3])

    return function


def _clear(column: int) -> Any:
    def function(tallies: Any) -> Floats:
        values = np.asarray(tallies, np.float64)
        return np.asarray(values[..., 1, column] / np.maximum(values[..., 1, 3], 1e-9))

    return function


def _floats(values: Any) -> Floats:
    return np.asarray(values, np.float64)


def _texts(values: Any) -> Strings:
    return np.asarray(values, np.str_)


def _integers(values: Any) -> Ints:
    return np.asarray(values, np.int64)


@frozen(eq=False)
class Revoiced(Answers):
    """Per utterance: mean distance of log-mel bands (`mel`) and MCD-13 in dB (`mcd`) from the true sound and ESTOI
    beside it, those of Griffin-Lim's sound (`lim_...`), and `frames`. `made`, `lim` and `true` are the first
    utterances' sounds, int16, one behind the other, each of `sizes` samples."""

    said: ClassVar[tuple[str, ...]] = ("mel", "mcd", "lim_mcd", "estoi", "lim_estoi")
    known: ClassVar[tuple[str, ...]] = ("subject", "session", "repetition", "recording", "start_s", "frames")
    shared: ClassVar[tuple[str, ...]] = ("made", "lim", "true", "sizes")
    functions: ClassVar[Mapping[str, Any]] = {
        "mel_l1": _mean(0),
        "mcd": _mean(1),
        "mcd_griffin_lim": _mean(2),
        "estoi": _clear(0),
        "estoi_griffin_lim": _clear(1),
    }

    mel: Floats = field(converter=_floats)
    mcd: Floats = field(converter=_floats)
    lim_mcd: Floats = field(converter=_floats)
    estoi: Floats = field(converter=_floats)
    lim_estoi: Floats = field(converter=_floats)
    subject: Strings = field(converter=_texts)
    session: Strings = field(converter=_texts)
    repetition: Ints = field(converter=_integers)
    recording: Strings = field(converter=_texts)
    start_s: Floats = field(converter=_floats)
    frames: Floats = field(converter=_floats)
    made: Array = field(factory=lambda: np.empty(0, np.int16))
    lim: Array = field(factory=lambda: np.empty(0, np.int16))
    true: Array = field(factory=lambda: np.empty(0, np.int16))
    sizes: Array = field(factory=lambda: np.empty(0, np.int64))

    def tally(self, unit: Ints | None = None) -> Array:
        """Distances times frames, and frames; ESTOI, and how many have one; added up by unit: `(unit, 2, 4)`."""
        distances = np.stack([self.mel, self.mcd, self.lim_mcd, np.ones(len(self))], 1) * self.frames[:, None]
        nothing, there = np.zeros(len(self)), np.isfinite(self.estoi + self.lim_estoi)
        clear = np.stack([self.estoi, self.lim_estoi, nothing, nothing + 1], 1)
        rows = np.stack([distances, np.where(there[:, None], clear, 0.0)], 1)
        if unit is None:
            return np.asarray(rows.sum(0)[None])
        found = np.zeros((int(unit.max()) + 1, 2, 4))
        np.add.at(found, unit, rows)
        return found

    def goodness(self) -> Floats:
        """The closer the better."""
        return -self.mcd

    def told(self) -> dict[str, Any]:
        return {"utterances": len(self), "windows": len(self)}

    def save(self, path: str | Path) -> None:
        """Write one .npz without pickles; it is complete or absent."""
        fields: Any = {name: np.asarray(getattr(self, name)) for name in (*self.said, *self.shared, *self.known)}
        with beside(Path(path)) as part, part.open("wb") as file:
            np.savez_compressed(file, **fields)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote. Raises InputError."""
        try:
            with np.load(path, allow_pickle=False) as file:
                fields = {name: file[name] for name in (*cls.said, *cls.shared, *cls.known) if name in file}
                for name in ("estoi", "lim_estoi"):  # earlier runs did not ask
                    fields.setdefault(name, np.full(len(fields["mcd"]), np.nan))
                return cls(**fields)
        except FileNotFoundError:
            raise InputError(f"{path}: there is no such file of predictions") from None
        except (KeyError, ValueError, TypeError, zipfile.BadZipFile, EOFError) as error:
            raise InputError(f"{path}: not a file of predictions ({error})") from None

    def heard(self) -> list[tuple[str, Array, Array, Array]]:
        """Recording, made sound, Griffin-Lim's and the true one, of those that were kept."""
        cuts = np.cumsum(self.sizes)[:-1]
        parts = (np.split(sound, cuts) for sound in (self.made, self.lim, self.true))
        return list(zip(self.recording[: len(self.sizes)].tolist(), *parts, strict=True)) if len(self.sizes) else []


def revoiced(speak: Any, examples: Sounds) -> Revoiced:
    """Every utterance given back by `speak`, which maps bands `(1, frame, band)` to sound `(1, time)`."""
    from myoflow.dsp.distortion import cepstral_distortion, intelligibility
    from myoflow.dsp.mel import RATE_HZ, griffin_lim

    rows: list[tuple[float, ...]] = []
    kept: list[list[Array]] = []
    for sound, bands in zip(examples.sounds, examples.bands, strict=True):
        made, plain = speak(bands[None])[0], griffin_lim(bands)
        again, lim = log_mel(made), log_mel(plain)
        distance = (cepstral_distortion(some, bands, align=False) for some in (again, lim))
        clear = (intelligibility(sound, some, RATE_HZ) for some in (made, plain))
        rows.append((float(np.abs(again - bands).mean()), *distance, *clear, len(bands)))
        if len(kept) < KEPT:
            size = len(made)
            kept.append([np.rint(32767 * s[:size]).astype(np.int16) for s in (made, plain, sound)])
    mel, mcd, lim_mcd, estoi, lim_estoi, frames = (np.array(column) for column in zip(*rows, strict=True))
    made_, lim_, true = (np.concatenate(column) for column in zip(*kept, strict=True))
    return Revoiced(
        mel=mel, mcd=mcd, lim_mcd=lim_mcd, estoi=estoi, lim_estoi=lim_estoi, frames=frames,
        made=made_, lim=lim_, true=true,
        sizes=np.array([len(row[0]) for row in kept]), **examples.places(),
    )  # fmt: skip
