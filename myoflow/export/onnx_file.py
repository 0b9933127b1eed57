"""ONNX file: a run's network as one model file that says what it takes and gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import myoflow
from myoflow.backend import load_backend
from myoflow.distance import Distance
from myoflow.engine import Parameters, Segment
from myoflow.engines.onnx import OnnxEngine
from myoflow.errors import InputError, MyoflowError
from myoflow.files import beside
from myoflow.network import trained
from myoflow.pipeline import calibration_of
from myoflow.typed import hints_of, plain

if TYPE_CHECKING:
    import torch

    from myoflow.backend import Backend
    from myoflow.dsp.kernel import Array
    from myoflow.pipeline import Plan
    from myoflow.stage import Stage, State


def export_onnx(
    plan: Plan, network: Segment, parameters: Parameters, backend: str, told: dict[str, str], to: Path
) -> Path:
    """Write the network of a planned pipeline as an ONNX model, checked against torch, whole or not at all.

    Input `emg`: `(window, ...)` as the stage before the network gives it, batch free, all else fixed; float32.
    Metadata: `told`, and what the input is: rate, channels, units, the stages that stand before the model with what
    they have learned (its scaling once more under `normalisation`), and the labels in their order. `backend` is one of
    onnxruntime's, in float32 or int8. `export.program` reads the file.

    Raises:
        InputError: another kind of backend, one that is missing here, or no calibration windows for int8.
        MyoflowError: the model does not give what torch gives, in int8 within the backend's tolerance.
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

    if onnx_graph.opens(network.input):
        raise InputError(
            "export writes decoders of windows, and this one takes whole utterances; decode them from the run's "
            "folder, on onnx or openvino with --backend, live on torch"
        )
    metadata = {**told, **described(plan, network, parameters), "backend": card.name, "precision": card.precision}
    module = trained(network, parameters.weights)
    data = onnx_graph.lower(module, network.input, metadata)
    if card.precision == "int8":
        examples = calibration_of(plan, parameters, network.index)
        data = _in_int8(data, module, examples, card)
    with beside(to) as part:
        part.write_bytes(data)
    return to


def _in_int8(data: bytes, module: torch.nn.Module, examples: Array, card: Backend) -> bytes:
    """The model in int8, checked and compared with torch on the windows that it was calibrated on."""
    import onnx
    import torch

    from myoflow.lower import onnx_graph
    from myoflow.lower.quantise import quantised

    made = quantised(data, examples, card.float_layers)
    onnx.checker.check_model(onnx.load_from_string(made), full_check=True)
    x = np.array(examples, np.float32)  # torch warns of arrays that are read only
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    problem = Distance.between(expected, onnx_graph.session(made, 1)(x)).problem(card.tolerance)
    if problem is not None:
        raise MyoflowError(
            f"in int8 the model's output on the calibration windows {problem} by {card.name}; name layers to keep "
            "under `float_layers` of a backend of your own"
        )
    return made


def described(plan: Plan, network: Segment, parameters: Parameters) -> dict[str, str]:
    """What somebody needs to feed the model and read its answers, as texts; all but plain words are JSON."""
    before = [step for step in plan.steps[: network.index] if not step.stage.training_only]
    after = plan.steps[network.index + len(network.stages) :]
    spec, costs = network.input, [s.cost(i) for s, i in zip(network.stages, network.specs, strict=True)]
    stages = {
        "before": [_stage(step.stage, parameters.states.get(step.index)) for step in before],
        "network": [_stage(stage, None) for stage in network.stages],
        "after": [_stage(step.stage, parameters.states.get(step.index)) for step in after],
    }
    values: dict[str, Any] = {
        "myoflow": myoflow.__version__,
        "rate_hz": plan.input.rate_hz,
        "channels": plan.input.channels,
        "units": plan.input.units,
        "labels": plan.output.labels,
        "normalisation": [stage for stage in stages["before"] if "over" in stage],
        "input": {"dims": spec.dims, "sizes": spec.sizes, "rate_hz": spec.rate_hz, "window_s": spec.window_s},
        "parameters": sum(cost.parameters for cost in costs),
        "macs": sum(cost.macs for cost in costs),
        **stages,
    }
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def _stage(stage: Stage, state: State | None) -> dict[str, Any]:
    fields = {name: plain(getattr(stage, name), hint) for name, hint in hints_of(type(stage)).items()}
    learned = {
        name: {"dtype": str(value.dtype), "values": value.tolist()}
        for name, value in ((name, np.asarray(value)) for name, value in (state or {}).items())
    }
    return {"stage": stage.name, **fields, **({"learned": learned} if learned else {})}
