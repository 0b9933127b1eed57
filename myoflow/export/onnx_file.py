"""ONNX file: a run's network as one model file that says what it takes and gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import myoflow
from myoflow.backend import load_backend
from myoflow.engine import Parameters, Segment
from myoflow.engines.onnx import OnnxEngine
from myoflow.errors import InputError
from myoflow.files import beside
from myoflow.network import trained
from myoflow.pipeline import calibration_of
from myoflow.typed import hints_of, plain

if TYPE_CHECKING:
    from myoflow.pipeline import Plan


def export_onnx(
    plan: Plan, network: Segment, parameters: Parameters, backend: str, told: dict[str, str], to: Path
) -> Path:
    """Write the network of a planned pipeline as an ONNX model, checked against torch, whole or not at all.

    Input `emg`: `(window, ...)` as the stage before the network gives it, batch free, all else fixed; float32.
    Metadata: `told`, and what the input is: rate, channels, units, the stages that stand before the model with what
    they have learned, and the labels in their order. `backend` is one of onnxruntime's, in float32 or int8.

    Raises:
        InputError: another kind of backend, one that is missing here, or no calibration windows for int8.
        MyoflowError: the model does not give what torch gives.
    """
    card = load_backend(backend)
    if card.engine != "onnx":
        raise InputError(
            f"backend '{backend}' has no file of its own to export; export --backend onnx, which OpenVINO, TensorRT "
            "and other runtimes read"
        )
    reason = OnnxEngine().missing(card)
    if reason:
        raise InputError(f"backend '{backend}' cannot run on this machine: {reason}")
    from myoflow.lower import onnx_graph
    from myoflow.lower.quantise import quantised

    metadata = {**told, **_described(plan, network, parameters)}
    data = onnx_graph.lower(trained(network, parameters.weights), network.input, metadata)
    if card.precision == "int8":
        data = quantised(data, calibration_of(plan, parameters, network.index), card.float_layers)
    with beside(to) as part:
        part.write_bytes(data)
    return to


def _described(plan: Plan, network: Segment, parameters: Parameters) -> dict[str, str]:
    """What somebody needs to feed the model and read its answers, as texts."""
    before = [step for step in plan.steps[: network.index] if not step.stage.training_only]
    after = plan.steps[network.index + len(network.stages) :]
    spec = network.input
    values: dict[str, Any] = {
        "myoflow": myoflow.__version__,
        "input": {"dims": spec.dims, "sizes": spec.sizes, "rate_hz": spec.rate_hz, "window_s": spec.window_s},
        "signal": {"channels": plan.input.channels, "rate_hz": plan.input.rate_hz, "units": plan.input.units},
        "before": [_stage(step.stage, parameters.states.get(step.index)) for step in before],
        "after": [_stage(step.stage, parameters.states.get(step.index)) for step in after],
        "labels": plan.output.labels,
    }
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def _stage(stage: Any, state: Any) -> dict[str, Any]:
    fields = {name: plain(getattr(stage, name), hint) for name, hint in hints_of(type(stage)).items()}
    learned = {name: np.asarray(value).tolist() for name, value in (state or {}).items()}
    return {"stage": stage.name, **fields, **({"learned": learned} if learned else {})}
