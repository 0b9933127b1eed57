"""vocoder: sound from log-mel bands."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import attrs
from attrs.validators import and_, ge, le

from myoflow.task import Task, task
from myoflow.typed import frozen

if TYPE_CHECKING:
    import torch


@task("vocoder")
@frozen
class Vocoder(Task):
    """`mel` times the mean distance of log-mel bands, `resolutions` times that of spectra at several window sizes.

    With a `rival_share` above 0 HiFi-GAN's game is played as well: discriminators of that share of the published widths
    (1 is as published) learn to tell made sound from true sound, and `features` times the distance of what their layers
    see is added. The published setting is `mel: 45, resolutions: 0, rival_share: 1, features: 2` (arXiv 2010.05646).
    Without a rival sound is duller, but a small generator learns in minutes on one core.
    """

    mel: float = attrs.field(default=5.0, validator=ge(0))
    resolutions: float = attrs.field(default=2.0, validator=ge(0))
    rival_share: float = attrs.field(default=0.0, validator=and_(ge(0), le(1)))
    features: float = attrs.field(default=2.0, validator=ge(0))

    def loss(self, output: Any, target: Any) -> torch.Tensor:
        """Of sound `(segment, time)` against the true one."""
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

        return discriminator_loss(rival(target)[0], rival(output)[0])

    def against(self, rival: torch.nn.Module, output: Any, target: Any) -> torch.Tensor:
        """Made sound should score 1, and be seen as true sound is."""
        import torch

        from myoflow.nn.discriminators import adversarial_loss, feature_loss

        scores, seen = rival(output)
        with torch.no_grad():
            _, wanted = rival(target)
        return adversarial_loss(scores) + self.features * feature_loss(wanted, seen)


@lru_cache(maxsize=2)
def _distances(device: str) -> tuple[torch.nn.Module, torch.nn.Module]:
    from myoflow.nn.spectra import LogMel, Resolutions

    return LogMel(top_hz=None).to(device), Resolutions().to(device)
