"""Batch: what a network takes and what it should give, each an array or named arrays; counted, cut, moved as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from myoflow.errors import InputError, MyoflowError

if TYPE_CHECKING:
    import torch

    from myoflow.task import Batch, Part


def each(function: Callable[[Any], Any], part: Any) -> Any:
    """A function of every array (or tensor) of a part, which keeps its names."""
    return {name: function(value) for name, value in part.items()} if isinstance(part, Mapping) else function(part)


def count(part: Part) -> int:
    """Examples in a part of a batch."""
    return len(next(iter(part.values())) if isinstance(part, Mapping) else part)


def share(batch: Batch, rank: int, ranks: int) -> Batch:
    """What one of several processes takes of a batch."""
    x, y = (each(lambda values: values[rank::ranks], part) for part in batch)
    return x, y


def tensors(part: Part, device: torch.device) -> Any:
    """A part on a device: numbers as float32, whole numbers as int64, truths as they are.

    To a GPU through pinned memory, so that it is copied while the step before still runs.
    """
    import torch

    kinds = {"f": np.float32, "i": np.int64, "u": np.int64, "b": np.bool_}

    def moved(values: Any) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(values, kinds[values.dtype.kind]))
        return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)

    return each(moved, part)


def not_finite(examples: Any, size: int = 512) -> str | None:
    """Where the first sample of a signal is that is not a number, in words; None where all are."""
    for first in range(0, len(examples), size):
        x = examples.take(np.arange(first, min(first + size, len(examples))))
        bad = np.argwhere(~np.isfinite(x["emg"] if isinstance(x, Mapping) else x))
        if len(bad):
            row, channel, sample = (int(i) for i in bad[0])
            places = examples.places()
            at = f"{places['start_s'][first + row]:.3f} s, sample {sample}, channel {channel + 1}"
            return f"{places['recording'][first + row]} (window at {at})"
    return None


def explained(error: MyoflowError, examples: Any) -> MyoflowError:
    """An error of training or asking, or, where the examples hold samples that are no numbers, that and where."""
    place = not_finite(examples)
    if place is None:
        return error
    return InputError(
        f"{place} is not finite: nothing can be learned from or said of such a signal; mend the recording, or begin "
        "the pipeline with a quality stage"
    )


def signal_changed(part: Part, function: Callable[[Any], Any]) -> Any:
    """A part whose signal went through a function: the array itself, or the one named `emg`."""
    return {**part, "emg": function(part["emg"])} if isinstance(part, Mapping) else function(part)
