"""Voicing: a vocoder of a corpus' own sound, trained in minutes, loaded from published weights, or exported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
from attrs import Factory, frozen

from myoflow import tensors
from myoflow.errors import InputError, MyoflowError
from myoflow.files import beside
from myoflow.progress import Progress
from myoflow.tasks.vocoder import Vocoder

if TYPE_CHECKING:
    from myoflow.nn.hifigan import Generator, Size
    from myoflow.task import Batch

Floats = npt.NDArray[np.floating[Any]]

GRIFFIN_LIM = "griffin_lim"  # the vocoder that needs no training
RUNNING = "running"  # the same search as bands come, for live streams
OF_RUN = "weight.hifigan."  # what a run puts before a generator's tensors
EPOCH = 50  # updates between two lines of the learning curve


@frozen
class Voicing:
    """How a vocoder is trained: `steps` updates on `batch` segments of `frames` frames, `lr` at the peak."""

    size: Size = "XS"
    task: Vocoder = Factory(Vocoder)
    steps: int = 1500
    batch: int = 12
    frames: int = 32
    lr: float = 2e-3
    seed: int = 0


@frozen(eq=False)
class Voice:
    """A trained generator as a function of bands."""

    generator: Generator

    def __call__(self, bands: Floats) -> Floats:
        """Sound `(utterance, time)` float32 at 22 050 Hz of log-mel bands `(utterance, frame, band)`."""
        import torch

        with torch.no_grad():
            found: Floats = self.generator(torch.from_numpy(np.array(bands, np.float32))).numpy()
        return found

    def sound(self, bands: Floats) -> Floats:
        """Sound `(time,)` of one utterance's bands `(frame, band)`."""
        one: Floats = self(bands[None])[0]
        return one

    def save(self, path: Path) -> None:
        """Plain weights as safetensors, beside and then renamed; `load` and other programs read them."""
        from safetensors.torch import save_file

        with beside(path) as part:
            save_file(self.generator.state_dict(), str(part))

    @classmethod
    def load(cls, path: Path | str) -> Voice:
        """A generator of ours, that of a vocoder's run (its folder), or HiFi-GAN's published `g_XXXXXXXX`; none of
        their code is run. Raises InputError."""
        from myoflow.nn.hifigan import load

        found = {name.removeprefix(OF_RUN): value for name, value in tensors.read(path).items()}
        return cls(load(found, where=f"the weights in {path}"))

    def onnx(self) -> bytes:
        """The generator as an ONNX model: input `bands` `(utterance, frame, band)`, output `sound`, both sizes free.

        Raises MyoflowError: torch cannot export it, or the model does not give what torch gives.
        """
        return _exported(self)


def export_voice(weights: Path, backend: str, told: Mapping[str, str], to: Path) -> Path:
    """Write a trained generator as an ONNX file, whole or not at all: bands in, sound out, as `Voice.onnx` says; with
    `told` and what bands these are as metadata.

    Raises InputError: a backend that is not onnxruntime's in float32. Raises MyoflowError as `Voice.onnx`.
    """
    import onnx

    from myoflow.backend import load_backend
    from myoflow.dsp import mel

    card = load_backend(backend)
    if card.engine != "onnx" or card.precision != "float32":
        raise InputError(f"a vocoder is exported by the backend onnx, in float32, not by '{backend}'")
    model = onnx.load_from_string(Voice.load(weights).onnx())
    about = {"rate_hz": mel.RATE_HZ, "hop": mel.HOP, "window": mel.SIZE, "bands": mel.BANDS, "top_hz": mel.TOP_HZ}
    onnx.helper.set_model_props(model, {**told, **{name: str(value) for name, value in about.items()}})
    with beside(to) as part:
        part.write_bytes(model.SerializeToString())
    return to


def speaker(vocoder: str = GRIFFIN_LIM) -> Callable[[Floats], Floats]:
    """What makes sound `(time,)` at 22 050 Hz of one utterance's log-mel bands `(frame, band)`.

    `vocoder` is `griffin_lim`, `running`, or where `Voice.load` finds a trained generator. Raises InputError: it does
    not.
    """
    if vocoder == RUNNING:
        from myoflow.dsp.running_voice import whole

        return whole
    if vocoder != GRIFFIN_LIM:
        return Voice.load(vocoder).sound
    from myoflow.dsp.mel import griffin_lim

    return griffin_lim


class Running(Protocol):
    """Bands `(frame, band)` as they come to sound `(time,)` at 22 050 Hz."""

    def feed(self, frames: Floats, /) -> Floats: ...

    def flush(self) -> Floats: ...


def running(vocoder: str = GRIFFIN_LIM) -> tuple[Running, float]:
    """The vocoder of that name for a live stream, and how many seconds it looks ahead. Raises as `speaker`."""
    if vocoder in (GRIFFIN_LIM, RUNNING):
        from myoflow.dsp.running_voice import DELAY_S, RunningVoice

        return RunningVoice(), DELAY_S
    from myoflow.dsp.mel import FRAME_HZ
    from myoflow.nn.synthesis import Synthesis

    voice = Voice.load(vocoder)
    shape = voice.generator.shape
    return Synthesis(voice, shape.hop, shape.lookahead, shape.lookahead), shape.lookahead / FRAME_HZ


def train_vocoder(
    sounds: Sequence[Floats],
    folder: Path,
    settings: Voicing | None = None,
    progress: Progress | None = None,
) -> Voice:
    """A vocoder of true training sound, each `(time,)` at 22 050 Hz; those shorter than a segment are left out.

    `folder` takes the checkpoint and the learning curve; the same call after a kill goes on.

    Raises:
        InputError: no sound is as long as one segment.
    """
    import torch

    from myoflow.nn.hifigan import SHAPES, Generator, normalise_weights
    from myoflow.nn.hifigan import load as folded
    from myoflow.recipe import Train
    from myoflow.training import train

    settings = settings or Voicing()
    batches = _segments(sounds, settings)
    torch.manual_seed(settings.seed)
    shape = SHAPES[settings.size]
    generator = Generator(shape)
    normalise_weights(generator)
    train.fit(
        generator,
        batches,
        None,
        Train(
            task=settings.task,
            epochs=max(1, settings.steps // EPOCH),
            lr=settings.lr,
            min_lr=settings.lr / 50,
            batch=settings.batch,
            betas=(0.8, 0.99),
            clip=10.0,
        ),
        seed=settings.seed,
        steps_per_epoch=min(EPOCH, settings.steps),
        folder=folder,
        progress=progress,
    )
    return Voice(folded(generator.state_dict(), shape))


def _segments(sounds: Sequence[Floats], settings: Voicing) -> Callable[[int], Iterator[Batch]]:
    """Batches of an epoch: bands `(segment, frame, band)` and sound `(segment, time)` of random places."""
    from myoflow.dsp import mel

    long = [np.asarray(s, np.float32) for s in sounds if len(s) // mel.HOP >= settings.frames]
    if not long:
        raise InputError(
            f"no sound is as long as a segment of {settings.frames} frames ({settings.frames / mel.FRAME_HZ:.2f} s)"
        )
    bands = [mel.log_mel(sound) for sound in long]
    share = np.array([len(b) - settings.frames + 1 for b in bands], float)
    share /= share.sum()

    def batches(epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng([settings.seed, epoch])
        for _ in range(min(EPOCH, settings.steps)):
            x, y = [], []
            for which in rng.choice(len(long), settings.batch, p=share):
                first = rng.integers(len(bands[which]) - settings.frames + 1)
                x.append(bands[which][first : first + settings.frames])
                y.append(long[which][first * mel.HOP : (first + settings.frames) * mel.HOP])
            yield np.stack(x), np.stack(y)

    return batches


def _exported(voice: Voice) -> bytes:
    import onnx
    import torch

    from myoflow.lower.onnx_graph import CLOSE, OPSET, quiet, session

    shape = voice.generator.shape
    sizes = {0: torch.export.Dim("utterance", min=1, max=64), 1: torch.export.Dim("frame", min=2, max=100_000)}
    program: Any
    with quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(
                voice.generator,
                (torch.zeros(2, 20, shape.bands),),
                input_names=["bands"],
                output_names=["sound"],
                dynamic_shapes=(sizes,),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise MyoflowError(f"torch cannot export the vocoder to ONNX: {reason}") from error
    onnx.checker.check_model(program.model_proto, full_check=True)
    data: bytes = program.model_proto.SerializeToString()
    run, rng = session(data, 1), np.random.default_rng(0)
    for utterances, frames in ((1, 31), (3, 8)):
        x = rng.standard_normal((utterances, frames, shape.bands)).astype(np.float32)
        want = voice(x)
        scale = float(np.sqrt(np.mean(want**2))) or 1.0
        if not float(np.abs(run(x) - want).max()) <= CLOSE * scale:
            raise MyoflowError(f"the ONNX model of the vocoder differs from torch for {frames} frames")
    return data
