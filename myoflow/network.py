"""Network: the torch modules of a segment as one, with fresh or trained weights."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from myoflow.errors import InputError, MyoflowError

if TYPE_CHECKING:
    import torch

    from myoflow.engine import Segment
    from myoflow.stage import Stage


def build(segment: Segment) -> torch.nn.Sequential:
    """The segment's modules with fresh weights, named by their stages (`tinymyo`, `classify`, `patch_2`)."""
    import torch

    modules: OrderedDict[str, torch.nn.Module] = OrderedDict()
    for stage, spec in zip(segment.stages, segment.specs, strict=True):
        name, count = stage.name, 2
        while name in modules:
            name, count = f"{stage.name}_{count}", count + 1
        modules[name] = stage.module(spec)
    return torch.nn.Sequential(modules)


def fresh(segment: Segment) -> tuple[torch.nn.Sequential, tuple[str, ...]]:
    """The segment's modules as training begins, pre-trained where a stage says so, and what was done, in words.

    Raises:
        InputError: weights that a stage wants cannot be read, or do not fit.
    """
    module = build(segment)
    told = [stage.begin(part, spec) for stage, part, spec in zip(segment.stages, module, segment.specs, strict=True)]
    return module, tuple(text for texts in told for text in texts)


def continued(module: torch.nn.Module, start: str, stages: Iterable[Stage] = ()) -> None:
    """Copy the weights of a run's whole network into one of the same stages. Thin products of `adapt: lora` go on where
    both have the same; else those of the run are put into their matrices, and new ones start fresh. `stages` are those
    that the module is of.

    Raises:
        InputError: there are no weights, they are of other stages or sizes, of other heads or positions where that is
            known, or hold numbers that are not finite.
    """
    from myoflow import tensors
    from myoflow.nn.adapt import is_thin, merged_weights

    for stage in stages:
        if hasattr(stage, "heads") and hasattr(stage, "positions"):  # no shape would tell
            tensors.agree(start, stage.heads, stage.positions)
    found = {name.removeprefix("weight."): t for name, t in tensors.read(start).items() if name.startswith("weight.")}
    wanted = module.state_dict()
    thin = [{name: t.shape for name, t in side.items() if is_thin(name)} for side in (wanted, found)]
    if thin[0] != thin[1]:
        found = {**merged_weights(found), **{name: wanted[name] for name in thin[0]}}
    for name in sorted({*wanted, *found}):
        if name not in found or name not in wanted:
            lacking = "has no" if name not in found else "has a"
            raise InputError(f"train.start: {start} {lacking} '{name}': it was trained with other stages")
        found[name] = _number(found[name], wanted[name])
        if found[name].shape != wanted[name].shape:
            sizes = f"{tuple(found[name].shape)}, here {tuple(wanted[name].shape)}"
            raise InputError(f"train.start: '{name}' of {start} has the shape {sizes}")
        if found[name].is_floating_point() and not bool(found[name].isfinite().all()):
            raise InputError(f"train.start: '{name}' of {start} holds numbers that are not finite")
    module.load_state_dict(found)


def resumed(segment: Segment, weights: Mapping[str, Any]) -> torch.nn.Sequential:
    """The segment's modules with weights of a finished training to go on from; what `adapt: lora` adds is fresh.

    Raises:
        InputError, MyoflowError: as `load`.
    """
    module = build(segment)
    added = {name: tensor for name, tensor in module.state_dict().items() if ".lora_" in name}
    load(module, {**added, **weights})
    return module


def load(module: torch.nn.Module, weights: Mapping[str, Any]) -> None:
    """Copy weights into a module; every tensor of the module must be there.

    Raises:
        InputError: no weights at all (the pipeline is untrained).
        MyoflowError: some are missing or have another shape.
    """
    import torch

    wanted = module.state_dict()
    if wanted and not weights:
        raise InputError(
            "this pipeline has learned stages without weights; run the recipe first, then use mf.load_run(RUN)"
        )
    missing = sorted(set(wanted) - set(weights))
    if missing:
        raise MyoflowError(f"the weights lack {len(missing)} tensors, the first is '{missing[0]}'")
    chosen = {}
    for name, tensor in wanted.items():
        given = _number(torch.as_tensor(np.asarray(weights[name])), tensor)
        if given.shape != tensor.shape:
            raise MyoflowError(f"'{name}' has shape {tuple(given.shape)}, the pipeline needs {tuple(tensor.shape)}")
        chosen[name] = given
    module.load_state_dict(chosen)


def _number(given: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """`given`; without its axis where a number is wanted, such as batch norm's count, which files keep as a vector."""
    return given.reshape(()) if wanted.ndim == 0 and given.numel() == 1 else given


def trained(segment: Segment, weights: Mapping[str, Any]) -> torch.nn.Sequential:
    """The segment's modules with trained weights, in eval mode. Raises as `load`."""
    module = build(segment)
    load(module, weights)
    return module.eval()
