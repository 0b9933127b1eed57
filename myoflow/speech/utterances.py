"""Utterances: recordings of different lengths with what was said, as examples to learn from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from attrs import Factory, frozen

from myoflow.store.whole import Whole

Array = npt.NDArray[Any]
Batch = tuple[dict[str, Array], dict[str, Array]]

LARGEST_S = 64  # a batch of more seconds than this is no faster, and its attention takes memory
SPREAD = 0.15  # how much lengths are shaken before they are sorted into batches


@frozen(eq=False)
class Target:
    """What an utterance should become. `text` and its `characters` as indices; of its sound, or that of the same
    sentence spoken aloud, `mel` `(frame, band)` and `phones` `(frame,)`, which are empty where there is none. `voice`
    `(time,)` at 22 050 Hz is there in the test split, of what was spoken aloud itself.

    `silent`: the mouth moved without a voice, so that the sound is another moment's and must be aligned.
    """

    text: str
    characters: Array
    mel: Array
    phones: Array
    silent: bool
    mode: str
    twin: str = ""
    voice: Array = Factory(lambda: np.empty(0, np.float32))


@frozen(eq=False)
class Utterances(Whole):
    """Row i is `signals[i]` `(channel, time)` float32, perhaps memory-mapped, with `targets[i]`.

    A batch's `size` is seconds of signal, padded with zeros to its longest utterance. Utterances of like length go
    together; how many batches there are depends on nothing but the lengths. `mean` `(band,)` and `scale` normalise
    spectra. `known` are texts that decoding may learn from, `voices` (text, spectrum) those that a
    recogniser of sound may, `tuned` the utterances that its weights are chosen on,
    `dataset` the name of their card, `left_out` pairs (recording, why it is none of these utterances).
    """

    per_row: ClassVar[tuple[str, ...]] = ("signals", "ids", "subjects", "sessions", "subsets", "targets")

    signals: tuple[Array, ...]
    rate_hz: float
    ids: tuple[str, ...]
    subjects: tuple[str, ...]
    sessions: tuple[str, ...]
    subsets: tuple[str, ...]
    targets: tuple[Target, ...]
    mean: Array
    scale: float
    known: tuple[str, ...] = ()
    voices: tuple[tuple[str, Array], ...] = ()
    tuned: Utterances | None = None
    dataset: str = ""
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """What is said in each utterance."""
        return tuple(target.text for target in self.targets)

    @property
    def seconds(self) -> Array:
        """How long each utterance is."""
        return np.array([signal.shape[1] for signal in self.signals], np.float64) / self.rate_hz

    def take(self, rows: Array) -> dict[str, Array]:
        """The input of some rows: `emg` `(utterance, channel, time)`, zero beyond each `length`."""
        length = np.array([self.signals[row].shape[1] for row in rows], np.int64)
        channels = self.signals[0].shape[0] if self.signals else 0
        emg = np.zeros((len(rows), channels, int(length.max(initial=0))), np.float32)
        for place, row in enumerate(rows):
            emg[place, :, : length[place]] = self.signals[row]
        return {"emg": emg, "length": length}

    def pieces(self, rows: Array) -> Array:
        """Of some rows that many samples, from the beginning of one and the end of the next: `(utterance, channel,
        time)`, as long as three quarters of them are; the shorter ones are left out."""
        length = np.array([self.signals[row].shape[1] for row in rows], np.int64)
        size = int(np.quantile(length, 0.25, method="lower"))
        long_enough = np.asarray(rows)[length >= size]
        starts = [0 if place % 2 == 0 else self.signals[row].shape[1] - size for place, row in enumerate(long_enough)]
        cut = [self.signals[row][:, start : start + size] for row, start in zip(long_enough, starts, strict=True)]
        return np.stack(cut).astype(np.float32, copy=False)

    def wanted(self, rows: Array) -> dict[str, Array]:
        """The targets of some rows, padded: spectra normalised, texts and phones as indices, each with its length."""
        chosen = [self.targets[row] for row in rows]
        frames, letters = ([len(getattr(t, name)) for t in chosen] for name in ("mel", "characters"))
        mel = np.zeros((len(chosen), max(frames, default=0), len(self.mean)), np.float32)
        phones = np.full(mel.shape[:2], -1, np.int64)
        text = np.zeros((len(chosen), max(letters, default=0)), np.int64)
        for place, target in enumerate(chosen):
            mel[place, : frames[place]] = (target.mel - self.mean) / self.scale
            phones[place, : frames[place]] = target.phones
            text[place, : letters[place]] = target.characters
        return {
            "mel": mel,
            "mel_length": np.array(frames, np.int64),
            "phones": phones,
            "text": text,
            "text_length": np.array(letters, np.int64),
            "silent": np.array([target.silent for target in chosen], np.int64),
        }

    def steps(self, size: int) -> int:
        """How many batches of `size` seconds there are."""
        return min(len(self), max(1, round(float(self.seconds.sum()) / min(size, LARGEST_S))))

    def batches(self, size: int) -> Iterator[Batch]:
        """Everything, in order."""
        for rows in self._packed(np.arange(len(self)), size):
            yield self.take(rows), self.wanted(rows)

    def shuffled(self, size: int, rng: np.random.Generator) -> Iterator[Batch]:
        """Everything once: utterances of like length together, and the batches in random order."""
        shaken = self.seconds * np.exp(SPREAD * rng.standard_normal(len(self)))
        packed = self._packed(np.argsort(shaken, kind="stable"), size)
        for number in rng.permutation(len(packed)):
            yield self.take(packed[number]), self.wanted(packed[number])

    def _packed(self, order: Array, size: int) -> list[Array]:
        """`order` cut into `steps` pieces of about as many seconds each, none of them empty."""
        count = self.steps(size)
        if not count:
            return []
        along = np.cumsum(self.seconds[order])
        middle = (along - self.seconds[order] / 2) / along[-1]
        cuts = np.searchsorted(middle, np.arange(1, count) / count)
        for k in range(count - 1):  # at least one utterance in each, however long its neighbours are
            cuts[k] = min(max(cuts[k], cuts[k - 1] + 1 if k else 1), len(order) - (count - 1 - k))
        return np.split(order, cuts)


def joined_by_sentence(found: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, str]:
    """For each silent recording the id of the one whose voice is its target; `found` are (id, attributes).

    Twins as the reader joined them, by book and sentence, those of the same day first. Raises nothing: one without
    a twin is left out.
    """
    there = {identity for identity, _ in found}
    twins = {}
    for identity, attributes in found:
        if attributes.get("mode") == "silent":
            twin = next((name for name in attributes.get("twins", ()) if name in there), None)
            if twin is not None:
                twins[identity] = twin
    return twins
