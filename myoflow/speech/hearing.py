"""Hearing: the judge of made speech, a recogniser trained on a corpus' own true sound, never on test sentences.

Its word error rate on true sound is the floor of what made sound can reach, and is printed beside it. It knows one
corpus only: what it says compares sounds of that corpus, not people's ears.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from attrs import Factory, frozen

from myoflow.errors import InputError
from myoflow.progress import Progress
from myoflow.task import Task
from myoflow.text.beam import Decoder
from myoflow.text.spelling import CHARACTERS, greedy, letters

if TYPE_CHECKING:
    import torch

    from myoflow.nn.listener import Listener
    from myoflow.task import Batch

Floats = npt.NDArray[np.floating[Any]]


@frozen
class Hearing:
    """How a judge is trained. `blur` smears bands as a network's own predictions are smeared; 0 for never."""

    epochs: int = 40
    lr: float = 3e-3
    batch: int = 16
    width: int = 96
    layers: int = 4
    blur: float = 0.5
    characters: str = CHARACTERS
    seed: int = 0


@frozen
class _Spell(Task):
    """CTC over letters: chance of a text over all its alignments (Graves et al. 2006)."""

    def loss(self, output: Any, target: Any) -> torch.Tensor:
        import torch.nn.functional as F

        chances = F.log_softmax(output["logits"].float(), -1).transpose(0, 1)
        blank = chances.shape[2] - 1
        return F.ctc_loss(chances, target["text"], output["length"], target["size"], blank=blank, zero_infinity=True)


@frozen(eq=False)
class Judge:
    """A trained listener and its alphabet."""

    network: Listener
    characters: str = CHARACTERS

    def chances(self, bands: Floats) -> Floats:
        """Log probabilities `(frame, symbol)` of log-mel bands `(frame, band)`."""
        import torch

        with torch.no_grad():
            logits = self.network(torch.from_numpy(np.array(bands[None], np.float32)))
            assert isinstance(logits, torch.Tensor)
            found: Floats = torch.log_softmax(logits[0], -1).numpy()
        return found

    def text(self, bands: Floats, decoder: Decoder | None = None) -> str:
        """What is said: by the likeliest letters, or as a decoder searches for it."""
        chances = self.chances(bands)
        return decoder.text(chances) if decoder else greedy(chances.argmax(1).tolist(), self.characters)

    def heard(self, sound: Floats, rate_hz: float, decoder: Decoder | None = None) -> str:
        """As `text`, of sound `(time,)` within ±1."""
        from myoflow.dsp import mel

        return self.text(mel.log_mel(mel.resampled(sound, rate_hz)), decoder)

    def save(self, path: Path) -> None:
        """Write beside, then rename."""
        from safetensors.torch import save_file

        from myoflow.files import beside

        shape = {"width": str(self.network.norm.weight.numel()), "layers": str(len(self.network.layers))}
        with beside(path) as part:
            save_file(self.network.state_dict(), str(part), {**shape, "characters": self.characters})

    @classmethod
    def load(cls, path: Path) -> Judge:
        """Read what `save` wrote. Raises InputError."""
        from safetensors import SafetensorError, safe_open

        from myoflow.nn.listener import Listener

        try:
            with safe_open(str(path), framework="pt") as file:
                told = file.metadata() or {}
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            width, layers, characters = int(told["width"]), int(told["layers"]), told["characters"]
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise InputError(f"{path} is not a judge that was saved here ({error})") from None
        network = Listener(len(state["mean"]), len(characters) + 1, width=width, layers=layers)
        network.load_state_dict(state)
        return cls(network.eval(), characters)


@frozen(eq=False)
class _Speech:
    """Utterances to learn from: bands `(frame, band)` and letters of each."""

    bands: Sequence[Floats]
    text: Sequence[list[int]]
    order: Sequence[int] = Factory(list)

    def batches(self, size: int, rng: np.random.Generator | None = None, blur: float = 0.0) -> Iterator[Batch]:
        """Batches of `size` utterances of about one length, padded; with `rng` in random order and disturbed."""
        order = np.argsort([len(b) for b in self.bands], kind="stable")
        groups = [order[first : first + size] for first in range(0, len(order), size)]
        if rng is not None:
            groups = [groups[k] for k in rng.permutation(len(groups))]
        for group in groups:
            some = [self.bands[k] if rng is None else disturbed(self.bands[k], rng, blur) for k in group]
            yield _padded(some), _lettered([self.text[k] for k in group])


def _padded(bands: Sequence[Floats]) -> dict[str, npt.NDArray[Any]]:
    length = np.array([len(b) for b in bands])
    values = np.zeros((len(bands), length.max(), bands[0].shape[1]), np.float32)
    for row, some in zip(values, bands, strict=True):
        row[: len(some)] = some
    return {"values": values, "length": length}


def _lettered(texts: Sequence[list[int]]) -> dict[str, npt.NDArray[Any]]:
    size = np.array([len(text) for text in texts])
    values = np.zeros((len(texts), max(1, size.max())), np.int64)
    for row, text in zip(values, texts, strict=True):
        row[: len(text)] = text
    return {"text": values, "size": size}


def disturbed(bands: Floats, rng: np.random.Generator, blur: float) -> Floats:
    """Bands said faster or slower, louder or softer, noisier, perhaps blurred, with a few parts hidden."""
    from scipy.ndimage import gaussian_filter

    frames = max(2, round(len(bands) * float(np.exp(rng.normal(0, 0.1)))))
    at = np.linspace(0, len(bands) - 1, frames)
    low = at.astype(int)
    share = (at - low)[:, None]
    out = bands[low] * (1 - share) + bands[np.minimum(low + 1, len(bands) - 1)] * share
    if rng.random() < blur:
        out = gaussian_filter(out, (rng.uniform(0, 1.5), rng.uniform(0, 1.5)))
    out = out + rng.normal(0, 0.4) + rng.uniform(0, 0.4) * rng.standard_normal(out.shape)
    quiet = float(out.mean())
    for _ in range(2):
        first = rng.integers(out.shape[1])
        out[:, first : first + rng.integers(12)] = quiet
        first = rng.integers(frames)
        out[first : first + rng.integers(10)] = quiet
    return np.asarray(out, np.float32)


def train_judge(
    bands: Sequence[Floats],
    texts: Sequence[str],
    folder: Path,
    settings: Hearing | None = None,
    progress: Progress | None = None,
) -> Judge:
    """A judge of a corpus, from the log-mel bands `(frame, band)` and normalised texts of its true training sound.

    `folder` takes the checkpoint and the learning curve; the same call after a kill goes on.

    Raises:
        InputError: nothing to learn from, or a text with a character that is not in the alphabet.
    """
    import torch

    from myoflow.nn.listener import Listener
    from myoflow.recipe import Train
    from myoflow.training import train

    settings = settings or Hearing()
    if not bands or len(bands) != len(texts):
        raise InputError(f"a judge learns from sound with its text, got {len(bands)} sounds and {len(texts)} texts")
    speech = _Speech(bands, [letters(text, f"utterance {k + 1}", settings.characters) for k, text in enumerate(texts)])
    torch.manual_seed(settings.seed)
    network = Listener(bands[0].shape[1], len(settings.characters) + 1, width=settings.width, layers=settings.layers)
    every = np.concatenate(list(bands))
    network.mean.copy_(torch.from_numpy(every.mean(axis=0)))
    network.scale.fill_(float(every.std()))
    train.fit(
        network,
        lambda epoch: speech.batches(settings.batch, np.random.default_rng([settings.seed, epoch]), settings.blur),
        None,
        Train(task=_Spell(), epochs=settings.epochs, lr=settings.lr, batch=settings.batch, min_lr=1e-5),
        seed=settings.seed,
        steps_per_epoch=-(-len(bands) // settings.batch),
        folder=folder,
        progress=progress,
    )
    return Judge(network, settings.characters)
