"""Reconstructions: how well a pre-trained network guessed hidden patches of held-out windows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from attrs import field, frozen

from myoflow.answers.base import Answers, Floats, Ints, Strings
from myoflow.answers.columns import flags, floats, halves, ints, strings
from myoflow.dsp.masking import interpolated, patch_mean
from myoflow.errors import InputError

if TYPE_CHECKING:
    import torch

    from myoflow.store.windows import Windows


LOSSES = ("masked", "visible", "mean", "line")


def _mean(index: int) -> Any:
    """Mean over windows of one of the losses in a tally."""

    def function(tallies: Any) -> Floats:
        values = np.asarray(tallies, np.float64)
        return np.asarray(values[..., 0, index] / values[..., 0, len(LOSSES)])

    return function


def _explained(tallies: Any) -> Floats:
    values = np.asarray(tallies, np.float64)
    return np.asarray(1 - values[..., 0, 0] / values[..., 0, 2])


@frozen(eq=False)
class Reconstructions(Answers):
    """SmoothL1 per window: of `masked` and `visible` patches by the network; of the masked ones by two guesses without
    learning, the `mean` of visible patches and straight lines (`line`) between visible samples.

    Of one channel of each window, the one with most hidden patches, `guess` and `truth` `(window, time)` and `hidden`
    `(window, patch)` are kept for the report; `channel` says which.
    """

    said: ClassVar[tuple[str, ...]] = ("masked", "visible", "mean", "line", "guess", "truth", "hidden")
    known: ClassVar[tuple[str, ...]] = ("subject", "session", "recording", "start_s", "repetition", "channel")
    functions: ClassVar[Mapping[str, Any]] = {
        "masked_loss": _mean(0),
        "visible_loss": _mean(1),
        "patch_mean_loss": _mean(2),
        "linear_loss": _mean(3),
        "explained": _explained,
    }

    masked: Floats = field(converter=floats)
    visible: Floats = field(converter=floats)
    mean: Floats = field(converter=floats)
    line: Floats = field(converter=floats)
    guess: npt.NDArray[np.float16] = field(converter=halves)
    truth: npt.NDArray[np.float16] = field(converter=halves)
    hidden: npt.NDArray[np.bool_] = field(converter=flags)
    channel: Ints = field(converter=ints)
    subject: Strings = field(converter=strings)
    session: Strings = field(converter=strings)
    recording: Strings = field(converter=strings)
    repetition: Ints = field(converter=ints)
    start_s: Floats = field(converter=floats)

    def __attrs_post_init__(self) -> None:
        self.check_rows()
        good = np.all([np.isfinite(getattr(self, name)) for name in LOSSES], axis=0)
        if not good.all():
            raise InputError(
                f"predictions: {int((~good).sum())} of {len(self)} windows have losses that are not finite"
            )

    def tally(self, unit: Ints | None = None) -> Floats:
        """Sums of the losses and the number of windows, `(unit, 1, 5)`."""
        unit = np.zeros(len(self), np.int64) if unit is None else unit
        columns = [*(getattr(self, name) for name in LOSSES), np.ones(len(self))]
        units = int(unit.max(initial=0)) + 1
        return np.stack([np.bincount(unit, column, units).astype(np.float64) for column in columns], 1)[:, None]

    def goodness(self) -> Floats:
        """The masked loss, turned."""
        return -self.masked


def measured(
    model: torch.nn.Module, batches: Iterable[tuple[Any, Any]], windows: Windows, device: str = "cpu"
) -> Reconstructions:
    """Reconstructions of windows, given in batches in their order, by a network as it is pre-trained (`Masked`)."""
    import torch

    rows: dict[str, list[Any]] = {name: [] for name in (*Reconstructions.said, "channel")}
    model.to(device)
    with torch.no_grad():
        for x, _ in batches:
            made = model({name: torch.from_numpy(values).to(device) for name, values in x.items()})
            out = {name: value.cpu().numpy() for name, value in made.items()}
            for name, values in _of_batch(**out).items():
                rows[name].append(values)
    columns = {name: np.concatenate(parts) for name, parts in rows.items()}
    return Reconstructions(**columns, **windows.places())


def _of_batch(guess: Any, truth: Any, mask: Any, present: Any) -> dict[str, Any]:
    guess = guess[..., : truth.shape[-1]]
    hidden, shown = mask & present[..., None], ~mask & present[..., None]
    there = truth * present[..., None, None]
    rows = np.arange(len(mask))
    channel = hidden.sum(2).argmax(1)
    return {
        "masked": _over(smooth_l1(guess - truth), hidden),
        "visible": _over(smooth_l1(guess - truth), shown),
        "mean": _over(smooth_l1(patch_mean(there, ~shown) - truth), hidden),
        "line": _over(smooth_l1(interpolated(there, ~shown) - truth), hidden),
        "guess": guess[rows, channel].reshape(len(rows), -1),
        "truth": truth[rows, channel].reshape(len(rows), -1),
        "hidden": mask[rows, channel],
        "channel": channel,
    }


def smooth_l1(off: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Mean over the last axis of `d^2 / 2` where |d| < 1, else `|d| - 1/2`."""
    size = np.abs(off)
    return np.asarray(np.where(size < 1, 0.5 * off * off, size - 0.5).mean(-1))


def _over(loss: npt.NDArray[Any], patches: npt.NDArray[np.bool_]) -> Floats:
    return np.asarray((loss * patches).sum((1, 2)) / np.maximum(patches.sum((1, 2)), 1), np.float64)
