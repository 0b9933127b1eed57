"""Sounds: what a vocoder's report shows: voices to hear, made, by Griffin-Lim and true, with their spectra."""

from __future__ import annotations

import base64
import io
import wave
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from myoflow.dsp.mel import FRAME_HZ, RATE_HZ, log_mel
from myoflow.files import beside
from myoflow.report.figures import WIDE, canvas, styled, svg
from myoflow.section import Picture, Section

if TYPE_CHECKING:
    from myoflow.speech.sounds import Revoiced
    from myoflow.task import View

Array = npt.NDArray[Any]

NAMES = ("vocoder", "Griffin-Lim", "true")


def sections(view: View) -> list[Section]:
    """The first test utterances, to hear and to see; all of them are written as WAV files into the run's `audio`."""
    answers: Revoiced = view.models[view.main][0]
    figures = []
    for recording, *sounds in answers.heard():
        parts = []
        for name, sound in zip(NAMES, sounds, strict=True):
            data = wav(sound)
            with beside(view.folder / "audio" / f"{recording.replace('/', '_')}_{name.lower()}.wav") as part:
                part.write_bytes(data)
            address = f"data:audio/wav;base64,{base64.b64encode(data).decode()}"
            parts.append(f'<label>{name} <audio controls preload="none" src="{address}"></audio></label> ')
        figures.append(
            Picture(f"<p>{''.join(parts)}</p>{_figure(sounds)}", f"{recording}: {', '.join(NAMES)}", recording)
        )
    note = "Sound made of true bands of test utterances. Spectra: above of the vocoder's sound, below of the true one."
    return [Section("sounds", "Voices", figures=tuple(figures), note=note)] if figures else []


def wav(sound: Array) -> bytes:
    """A WAV file of int16 sound `(time,)` at 22 050 Hz."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(np.ascontiguousarray(sound, "<i2").tobytes())
    return out.getvalue()


def _figure(sounds: list[Array]) -> str:
    with styled(**{"axes.grid": False}):
        figure = canvas(WIDE, 2.4)
        for ax, place in zip(figure.subplots(2, 1), (0, 2), strict=True):
            bands = log_mel(sounds[place] / 32768)
            size = (0, len(bands) / FRAME_HZ, 0, bands.shape[1])
            ax.imshow(bands.T, origin="lower", aspect="auto", extent=size, cmap="magma", vmin=-9, vmax=1)
            ax.set_ylabel(NAMES[place], fontsize=7)
            ax.set_yticks([])
        return svg(figure, "spectra of made and true sound")
