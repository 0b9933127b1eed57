"""Running voice: the Griffin-Lim search for phases as bands come, a block of frames behind sound that stays."""

from __future__ import annotations

from typing import Any

import numpy as np

from myoflow.dsp.mel import (
    EDGE,
    HOP,
    RATE_HZ,
    SIZE,
    Floats,
    magnitudes_of,
    overlapped,
    spectra_of,
    turned_back,
    window,
)
from myoflow.errors import MyoflowError

BLOCK = 8  # frames that are given at a time
AHEAD = 4  # frames behind a block that its phases are made to fit: a window's length
BEFORE = 4  # frames before it, whose sound has been given and stays
GROUP = 4  # bands that become magnitudes at a time: always as many, so that the bits are the same
FADE = 64  # samples over which a block takes over from what the last one had foreseen
DELAY_S = ((BLOCK + AHEAD) * HOP + EDGE) / RATE_HZ  # windows begin EDGE samples before their frame


def whole(bands: Floats) -> Floats:
    """The sound `(time,)` of a `RunningVoice` for all bands `(frame, band)` at once."""
    voice = RunningVoice()
    return np.concatenate([voice.feed(bands), voice.flush()])


class RunningVoice:
    """Log-mel frames to sound at RATE_HZ, HOP samples a frame, the same however the frames come.

    The fast Griffin-Lim algorithm (Perraudin, Balazs and Søndergaard 2013) on `BLOCK` new frames with `AHEAD` behind
    and `BEFORE` before them: in every round, samples that have been given are put back, so that the phases that are
    found go on from them. A block comes when the frames behind it are there, `DELAY_S` after its first frame.
    """

    def __init__(self, iterations: int = 32, momentum: float = 0.99, seed: int = 0) -> None:
        self._iterations, self._momentum, self._seed = iterations, momentum, seed
        self._bands: Floats = np.zeros((0, 0), np.float32)  # that wait for their group
        self._frames: Floats = np.zeros((0, SIZE // 2 + 1), np.float32)  # magnitudes from `_first` on
        self._first = self._done = 0  # number of the oldest frame kept, and of the next to sound
        self._past: Floats = np.zeros(0, np.float32)  # sound of frames `_first` to `_done`, by where windows begin
        self._ahead: Floats = np.zeros(0, np.float32)  # what the last block foresaw behind it
        self._skip = EDGE  # samples that stand before the first frame's own

    def feed(self, bands: Floats) -> Floats:
        """Sound `(time,)` that log-mel bands `(frame, band)` complete.

        Raises MyoflowError: another shape, or no numbers.
        """
        if np.ndim(bands) != 2:
            raise MyoflowError(f"expected log-mel bands (frame, band), got shape {np.shape(bands)}")
        if len(bands):
            self._bands = np.concatenate([self._bands.reshape(-1, np.shape(bands)[1]), np.asarray(bands, np.float32)])
        whole = len(self._bands) - len(self._bands) % GROUP
        for at in range(0, whole, GROUP):
            self._frames = np.concatenate([self._frames, magnitudes_of(self._bands[at : at + GROUP])])
        self._bands = self._bands[whole:]
        found = [np.zeros(0, np.float32)]
        while self._first + len(self._frames) >= self._done + BLOCK + AHEAD:
            found.append(self._block(self._done + BLOCK, self._done + BLOCK + AHEAD))
        return self._trimmed(np.concatenate(found))

    def flush(self) -> Floats:
        """The rest."""
        if len(self._bands):
            self._frames = np.concatenate([self._frames, magnitudes_of(self._bands)])
            self._bands = self._bands[:0]
        last = self._first + len(self._frames)
        found = [np.zeros(0, np.float32)]
        while self._done < last:
            stop = min(self._done + BLOCK, last)
            found.append(self._block(stop, min(stop + AHEAD, last)))
        if last:
            found.append(self._ahead[: SIZE - HOP - EDGE])  # the last windows' ends
        return self._trimmed(np.concatenate(found))

    def _trimmed(self, sound: Floats) -> Floats:
        skipped = min(self._skip, len(sound))
        self._skip -= skipped
        return np.clip(sound[skipped:], -1.0, 1.0)

    def _block(self, stop: int, last: int) -> Floats:
        """Sound from frame `_done` to `stop`, from frames up to `last`."""
        target = self._frames[: last - self._first]
        known, size = len(self._past), (len(target) + SIZE // HOP - 1) * HOP
        weight = np.maximum(overlapped(np.broadcast_to(window() ** 2, (len(target), SIZE))), 1e-2)
        sound: Floats = np.zeros(size, np.float32)
        sound[:known] = self._past
        foreseen = min(len(self._ahead), size - known)
        sound[known : known + foreseen] = self._ahead[:foreseen]
        rng = np.random.default_rng((self._seed, self._done))
        begun = spectra_of(sound)
        new = np.arange(len(target)) >= (known + foreseen) // HOP - SIZE // HOP + 1  # windows that reach where none was
        begun[new] += np.exp(2j * np.pi * rng.random((int(new.sum()), target.shape[1]), np.float32)) * target[new]
        spectra = target * begun / np.maximum(np.abs(begun), 1e-9)
        before: Any = 0.0
        for _ in range(self._iterations):
            sound = turned_back(spectra) / weight
            sound[:known] = self._past
            consistent = spectra_of(sound)
            ahead = consistent + self._momentum * (consistent - before)
            before = consistent
            spectra = target * ahead / np.maximum(np.abs(ahead), 1e-9)
        sound = turned_back(spectra) / weight
        fade = min(FADE, foreseen)
        rise = (np.arange(fade, dtype=np.float32) + 1) / (fade + 1)
        sound[known : known + fade] = (1 - rise) * self._ahead[:fade] + rise * sound[known : known + fade]
        sound[:known] = self._past
        return self._given(sound.astype(np.float32), stop)

    def _given(self, sound: Floats, stop: int) -> Floats:
        """What a block gives; what it foresees and what stays known is kept."""
        known, end = len(self._past), (stop - self._first) * HOP
        out: Floats = sound[known:end]
        self._ahead = sound[end:]
        drop = max(0, stop - BEFORE - self._first)
        self._past, self._frames = sound[drop * HOP : end], self._frames[drop:]
        self._first, self._done = self._first + drop, stop
        return out
