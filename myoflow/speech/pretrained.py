"""Pretrained: a user's own Whisper or wav2vec2, through the package transformers.

Nothing is fetched from the network and no code of a model is run: a model comes from a folder, or from what `hf
download` has put into the cache of Hugging Face.
"""

from __future__ import annotations

import json
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import frozen

from myoflow.dsp.mel import resampled
from myoflow.errors import InputError

Floats = npt.NDArray[np.floating[Any]]

RATE_HZ = 16_000  # of both families
LEAST_S = 0.5  # shorter sounds are padded: a convolution needs some
TOKENS_HZ = 10  # fast speech has about six words a second, a word rarely more than one or two tokens
LONGEST_S = 30.0  # a longer one is heard in pieces; Whisper can take no more
FAMILIES = {
    "whisper": ("WhisperForConditionalGeneration", "WhisperProcessor"),
    "wav2vec2": ("Wav2Vec2ForCTC", "Wav2Vec2Processor"),
}
_UNUSED = ("masked_spec_embed", "pos_conv_embed")  # the first is for training; the second has had several names
_NOON = re.compile(r"\b([ap])\.?\s?m\b\.?", re.IGNORECASE)


@frozen(eq=False)
class Recogniser:
    """A loaded model of one of `FAMILIES`; `name` is what the user called it."""

    name: str
    family: str
    model: Any
    processor: Any
    words: Any

    def text(self, sound: Floats, rate_hz: float) -> str:
        """What it hears in sound `(time,)` within ±1, normalised; always the same for the same sound."""
        sound = resampled(sound, rate_hz, RATE_HZ)
        sound = np.pad(sound, (0, max(0, round(LEAST_S * RATE_HZ) - len(sound))))
        said = self._whispered if self.family == "whisper" else self._spelled
        return self.normalised(" ".join(said(piece) for piece in pieces(sound, self._longest())))

    def normalised(self, text: str) -> str:
        """A text as its errors are counted: by the English normaliser of Radford et al. (2022, appendix C), which takes
        away case and punctuation and writes numbers in digits. Digits are then parted, since `ten thirty` may come as
        10:30 and as 1030, and `p.m.` is one word."""
        text = self.words(_NOON.sub(r"\1m", text))
        text = re.sub(r"\bone\b", "1", text)  # the normaliser writes a lone 1 so, but not one beside other digits
        return " ".join(re.sub(r"\d", r" \g<0> ", text).split())

    def _longest(self) -> int:
        """Samples that it hears at once."""
        return round(RATE_HZ * float(getattr(self.processor.feature_extractor, "chunk_length", LONGEST_S)))

    def _whispered(self, sound: Floats) -> str:
        import torch

        given = self.processor(sound, sampling_rate=RATE_HZ, return_tensors="pt", return_attention_mask=True)
        told = self.model.generation_config
        # A model for English alone refuses to be told so.
        how: dict[str, Any] = (
            {"language": "en", "task": "transcribe"} if getattr(told, "is_multilingual", False) else {}
        )
        # It may begin to repeat itself without end; nobody says so much in that time.
        how["max_new_tokens"] = 12 + round(TOKENS_HZ * len(sound) / RATE_HZ)
        with torch.no_grad():
            tokens = self.model.generate(
                given.input_features, attention_mask=given.attention_mask, do_sample=False, num_beams=1, **how
            )
        return str(self.processor.batch_decode(tokens, skip_special_tokens=True)[0])

    def _spelled(self, sound: Floats) -> str:
        import torch

        given = self.processor(sound, sampling_rate=RATE_HZ, return_tensors="pt")
        with torch.no_grad():
            best = self.model(**given).logits.argmax(-1)
        return str(self.processor.batch_decode(best)[0])


def pieces(sound: Floats, longest: int) -> list[Floats]:
    """Sound in pieces of at most `longest` samples, each cut where it is quietest in the last fifth of those."""
    found = []
    while len(sound) > longest:
        first = longest - longest // 5
        size = max(1, longest // 100)
        level = np.convolve(sound[first:longest] ** 2, np.ones(size), "same")
        cut = first + int(level.argmin())
        found.append(sound[:cut])
        sound = sound[cut:]
    return [*found, sound]


def load(name: str) -> Recogniser:
    """The model in a folder, or of that name in Hugging Face's cache.

    Raises:
        InputError: no package transformers, nothing there, a model of another kind or without its text head, or files
            that cannot be read.
    """
    if find_spec("transformers") is None:
        raise InputError("--judge needs the package transformers: pip install 'myoflow[judge]'")
    folder = _folder(name)
    family = _family(folder)
    import torch

    # Any: parts of it have types and parts have none, and where it is not installed mypy knows neither.
    library: Any = import_module("transformers")
    normaliser: Any = import_module("transformers.models.whisper.english_normalizer")
    kind, processing = (getattr(library, part) for part in FAMILIES[family])
    library.logging.set_verbosity_error()
    library.logging.disable_progress_bar()
    own: dict[str, Any] = {"local_files_only": True}
    try:
        model, told = kind.from_pretrained(folder, dtype=torch.float32, output_loading_info=True, **own)
        processor = processing.from_pretrained(folder, **own)
    except Exception as error:  # any library it reads files with may raise anything
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{folder} cannot be loaded as {family}: {reason}") from error
    missing = sorted(key for key in told["missing_keys"] if not any(part in key for part in _UNUSED))
    if missing:
        raise InputError(
            f"{folder} has no weights for {missing[0]}: it is no {family} that writes text (was it fine-tuned to?)"
        )
    spelling = getattr(processor.tokenizer, "english_spelling_normalizer", None) or {}
    return Recogniser(name, family, model.eval(), processor, normaliser.EnglishTextNormalizer(spelling))


def _folder(name: str) -> Path:
    """Where the model's files lie. Raises InputError."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise InputError(f"{name} is a file; --judge takes the folder of a model, with its config.json")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (OSError, ValueError) as error:  # not there, or no name that could be
        raise InputError(
            f"there is no folder {name}, and no model of that name in Hugging Face's cache here; "
            f"`hf download {name}` fetches one where there is a network"
        ) from error


def _family(folder: Path) -> str:
    """Which of `FAMILIES` a folder holds. Raises InputError."""
    path = folder / "config.json"
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise InputError(f"{folder} is no folder of a model: it has no config.json") from None
    except ValueError as error:
        raise InputError(f"{path} is no JSON ({error})") from None
    family = told.get("model_type") if isinstance(told, dict) else None
    if family not in FAMILIES:
        raise InputError(f"{folder} holds a model of type {family}; --judge takes {' or '.join(FAMILIES)}")
    return str(family)
