"""vocoder: sound from log-mel bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import numpy as np
import numpy.typing as npt
from attrs.validators import and_, ge, le

from myoflow.errors import PlanError
from myoflow.task import Measure, Task, View, task
from myoflow.typed import frozen

if TYPE_CHECKING:
    import torch

    from myoflow.pipeline import Plan, Step
    from myoflow.prepared import Prepared
    from myoflow.section import Section
    from myoflow.speech.sounds import Revoiced, Sounds
    from myoflow.split import Fold
    from myoflow.task import Model

END = ("utterance", "voice", "hifigan")


@task("vocoder")
@frozen
class Vocoder(Task):
    """`mel` times the mean distance of log-mel bands, `resolutions` times that of spectra at several window sizes.

    With a `rival_share` above 0 HiFi-GAN's game is played as well: discriminators of that share of the published widths
    (1 is as published) learn to tell made sound from true sound, and `features` times the distance of what their layers
    see is added. The published setting is `mel: 45, resolutions: 0, rival_share: 1, features: 2` (arXiv 2010.05646).
    Without a rival sound is duller, but a small generator learns in minutes on one core.
    Segments are of `frames` frames.
    """

    mel: float = attrs.field(default=5.0, validator=ge(0))
    resolutions: float = attrs.field(default=2.0, validator=ge(0))
    rival_share: float = attrs.field(default=0.0, validator=and_(ge(0), le(1)))
    features: float = attrs.field(default=2.0, validator=ge(0))

    frames: int = attrs.field(default=32, validator=ge(8))

    measures: ClassVar[Mapping[str, Measure]] = {
        "mcd": Measure(unit="dB", better="lower", digits=2),
        "mcd_griffin_lim": Measure(unit="dB", better="lower", digits=2),
        "mel_l1": Measure(unit="", better="lower", digits=3),
        "estoi": Measure(unit="", better="higher", digits=2),
        "estoi_griffin_lim": Measure(unit="", better="higher", digits=2),
    }
    defaults: ClassVar[tuple[str, ...]] = tuple(measures)
    lives: ClassVar[bool] = False
    compiles: ClassVar[bool] = False

    def check(self, plan: Plan) -> None:
        """The pipeline is utterance, voice, hifigan."""
        names = tuple(step.stage.name for step in plan.steps)
        if names != END:
            raise PlanError(f"a vocoder's pipeline is {', '.join(END)}; this one is {', '.join(names)}")

    def examples(self, prepared: Sequence[Prepared], step: Step, fold: Fold, by: str) -> list[Sounds]:
        """Sounds of spoken utterances, those with marked phones."""
        from myoflow.speech.sounds import Sounds

        if by == "repetition":
            raise PlanError("a vocoder learns whole utterances; split by subject, session or subset")
        target = step.before.target
        assert target is not None, "the stage voice has asked for it"
        every = Sounds.of(prepared, target.rate_hz, self.frames)
        return [every.select(np.isin(every.units(by), list(names))) for names in fold]

    def predict(self, model: Model, examples: Sounds) -> Revoiced:
        """Every test utterance given back, and by Griffin-Lim."""
        import torch

        from myoflow.speech.sounds import revoiced

        network = model.network()
        assert network is not None, "check says that there is a network"

        def speak(bands: npt.NDArray[Any]) -> npt.NDArray[Any]:
            with torch.no_grad():
                made: npt.NDArray[Any] = network(torch.from_numpy(np.array(bands, np.float32)))[:, 0].numpy()
            return made

        return revoiced(speak, examples)

    def load(self, path: Path) -> Revoiced:
        """Read what `Revoiced.save` wrote."""
        from myoflow.speech.sounds import Revoiced

        return Revoiced.load(path)

    def summarise(self, models: Mapping[str, Sequence[Any]], evaluate: Sequence[str], main: str) -> dict[str, Any]:
        """Distances with intervals over utterances."""
        from myoflow.answers.scores import summarise

        return summarise(models, evaluate, main)

    def sections(self, view: View) -> list[Section]:
        """Sounds to hear, and their spectra; WAV files of them in the run's folder."""
        from myoflow.report.sounds import sections

        return sections(view)

    def loss(self, output: Any, target: Any) -> torch.Tensor:
        """Of sound `(segment, time)`, or `(segment, 1, time)` as the stage gives it, against the true one."""
        output = output.flatten(1)
        bands, resolutions = _distances(str(output.device))
        total = self.mel * (bands(output) - bands(target)).abs().mean()
        if self.resolutions:
            total = total + self.resolutions * resolutions(output, target)
        found: torch.Tensor = total
        return found

    def rival(self) -> torch.nn.Module | None:
        """HiFi-GAN's discriminators."""
        if not self.rival_share:
            return None
        from myoflow.nn.discriminators import Discriminators

        return Discriminators(self.rival_share)

    def rival_loss(self, rival: torch.nn.Module, output: Any, target: Any) -> torch.Tensor:
        """Least squares: true sound should score 1, made sound 0."""
        from myoflow.nn.discriminators import discriminator_loss

        return discriminator_loss(rival(target)[0], rival(output.flatten(1))[0])

    def against(self, rival: torch.nn.Module, output: Any, target: Any) -> torch.Tensor:
        """Made sound should score 1, and be seen as true sound is."""
        import torch

        from myoflow.nn.discriminators import adversarial_loss, feature_loss

        scores, seen = rival(output.flatten(1))
        with torch.no_grad():
            _, wanted = rival(target)
        return adversarial_loss(scores) + self.features * feature_loss(wanted, seen)


@lru_cache(maxsize=2)
def _distances(device: str) -> tuple[torch.nn.Module, torch.nn.Module]:
    from myoflow.nn.spectra import LogMel, Resolutions

    return LogMel(top_hz=None).to(device), Resolutions().to(device)
