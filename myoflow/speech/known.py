"""Known: what a model of speech must know beside its weights to speak, kept in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from attrs import frozen

from myoflow.errors import InputError
from myoflow.files import read_json, write_json
from myoflow.speech.voicing import GRIFFIN_LIM
from myoflow.text import arpa
from myoflow.text.beam import Decoder, Weights

if TYPE_CHECKING:
    from myoflow.speech.utterances import Utterances

Array = npt.NDArray[Any]
FORMAT = 1


@frozen(eq=False)
class Known:
    """`decoder` of text, None without a head for it, and the `pause_s` that ends a sentence, None where only the end
    does; `mean` `(band,)` and `scale` that spectra were normalised by, the `vocoder` for `speech.voicing.speaker`."""

    decoder: Decoder | None
    mean: Array
    scale: float
    pause_s: float | None = None
    vocoder: str = GRIFFIN_LIM

    @classmethod
    def of(
        cls, decoder: Decoder | None, examples: Utterances, pause_s: float | None = None, vocoder: str = GRIFFIN_LIM
    ) -> Known:
        """From what has just been chosen."""
        return cls(decoder, np.asarray(examples.mean, np.float64), float(examples.scale), pause_s, vocoder)

    def bands(self, frames: Array) -> Array:
        """What the head `audio` gave, `(frame, feature)`, as log-mel bands `(frame, band)`."""
        from myoflow.dsp.mel import from_cepstrum

        spread = frames if frames.shape[1] == len(self.mean) else from_cepstrum(frames, len(self.mean))
        return np.asarray(spread * self.scale + self.mean, np.float32)

    def save(self, folder: Path) -> None:
        """`speech.json`, and the language model as `words.arpa`."""
        told: dict[str, Any] = {
            "format": FORMAT,
            "mean": [float(v) for v in self.mean],
            "scale": self.scale,
            "pause_s": self.pause_s,
            "vocoder": self.vocoder,
        }
        decoder = self.decoder
        if decoder is not None:
            told["text"] = {
                "characters": decoder.characters,
                "lexicon": list(decoder.lexicon) if decoder.lexicon is not None else None,
                "model_weight": decoder.weights.model,
                "word_bonus": decoder.weights.bonus,
                "beam": decoder.width,
                "least": decoder.least,
                "model": decoder.model is not None,
            }
            if decoder.model is not None:
                arpa.write(decoder.model, folder / "words.arpa")
        write_json(folder / "speech.json", told)


def load(folder: Path) -> Known:
    """Read what `save` wrote. Raises InputError: it is not there, or of another version."""
    told = read_json(folder / "speech.json", None)
    if told is None or told.get("format") != FORMAT:
        raise InputError(
            f"{folder} has no speech.json of this version, which says how its model spells and sounds; "
            "run the recipe again"
        )
    text: dict[str, Any] | None = told.get("text")
    decoder = None
    if text is not None:
        decoder = Decoder(
            text["characters"],
            tuple(text["lexicon"]) if text["lexicon"] is not None else None,
            arpa.read(folder / "words.arpa") if text["model"] else None,
            Weights(text["model_weight"], text["word_bonus"]),
            text["beam"],
            text["least"],
        )
    return Known(decoder, np.array(told["mean"], np.float64), told["scale"], told["pause_s"], told["vocoder"])
