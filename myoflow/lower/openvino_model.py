"""OpenVINO model: an ONNX model compiled for the CPU, and its int8 form by NNCF."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from myoflow.distance import Distance

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array

_IR = b"ir  "  # how a model of two files begins; ONNX models begin otherwise
_TRIED = 16  # windows that a kernel is tried on
_ROUNDING = 0.1  # of an output's size; bf16 beside int8 costs 0.02 where it is right, 0.4 where it is not


def compiled(data: bytes, precision: str, threads: int) -> Callable[[Array], Array]:
    """A function of a batch `(window, ...)`, from an ONNX model or what `quantised` gave.

    Windows of one size go one by one through a model of that size, several on a thread each, one alone on all of them:
    OpenVINO knows more about shapes that do not change, what a window needs stays in the cache, and an answer does not
    depend on how many others are asked for.
    """
    import openvino

    core = openvino.Core()
    given = _model(core, data)
    sizes = list(given.input(0).partial_shape)[1:]
    single = all(size.is_static for size in sizes)
    if single:
        given.reshape([1, *(size.get_length() for size in sizes)])
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": threads if single else 1,
        "ENABLE_CPU_PINNING": False,
    }
    model = core.compile_model(given, "CPU", settings)
    requests = [model.create_infer_request() for _ in range(threads if single else 1)]
    if not single or threads == 1:
        return lambda batch: _one_by_one(requests[0], batch, 1 if single else len(batch))
    # a window that comes alone has all threads to itself
    alone = core.compile_model(given, "CPU", {**settings, "NUM_STREAMS": 1}).create_infer_request()
    return lambda batch: _one_by_one(alone, batch, 1) if len(batch) == 1 else _side_by_side(requests, batch)


def rounds_only(data: bytes, precision: str, calibration: Array) -> bool:
    """Whether `precision` beside int8 products gives what float32 there gives, up to rounding, on this CPU.

    It does not always: on CPUs with AMX, OpenVINO 2026.4 computes bf16 attention of 16 tokens with heads of 16 that
    hands on int8 wrongly, without an error. So nothing is believed that has not been tried.
    """
    given, plain = (compiled(data, hint, 1)(calibration[:_TRIED]) for hint in (precision, "f32"))
    far = Distance.between(plain, given)
    return bool(far.mean <= _ROUNDING * far.scale)


def _one_by_one(request: Any, batch: Array, size: int) -> Array:
    """Outputs of a batch, `size` windows at a time."""
    parts = [
        request.infer({0: batch[at : at + size]}, share_inputs=True)[0].copy() for at in range(0, len(batch), size)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _side_by_side(requests: Sequence[Any], batch: Array) -> Array:
    """Outputs of a batch, a window on each request."""
    found: list[Array] = []
    for number in range(len(batch) + len(requests)):
        request = requests[number % len(requests)]
        if len(requests) <= number:  # its window before this one; those before that are there
            request.wait()
            found.append(request.get_output_tensor(0).data.copy())
        if number < len(batch):
            request.start_async({0: batch[number : number + 1]}, share_inputs=True)
    return np.concatenate(found)


def quantised(data: bytes, calibration: Array, float_layers: Sequence[str]) -> bytes:
    """The model with int8 products, quantised by NNCF on `calibration`; `quantise.floats` says which stay in float.

    Raises:
        InputError: a pattern that matches no layer.
    """
    import nncf
    import onnx
    import openvino

    from myoflow.lower.onnx_graph import products
    from myoflow.lower.quantise import floats

    logging.getLogger("nncf").setLevel(logging.ERROR)
    model = openvino.Core().read_model(data)
    layers = [node.name for node in products(onnx.load_from_string(data))]
    kept = sorted(floats(layers, float_layers))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):  # its progress bars
        made = nncf.quantize(
            model,
            nncf.Dataset([window[None] for window in calibration]),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(calibration),
            ignored_scope=nncf.IgnoredScope(names=kept) if kept else None,
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.xml"
        openvino.save_model(made, path, compress_to_fp16=False)
        text, weights = path.read_bytes(), path.with_suffix(".bin").read_bytes()
    head = json.dumps([len(text), len(weights)]).encode()
    return _IR + len(head).to_bytes(4, "little") + head + text + weights


def _model(core: Any, data: bytes) -> Any:
    if not data.startswith(_IR):
        return core.read_model(data)
    import openvino

    size = int.from_bytes(data[4:8], "little")
    text, weights = json.loads(data[8 : 8 + size])
    start = 8 + size
    return core.read_model(
        data[start : start + text],
        openvino.Tensor(np.frombuffer(data, np.uint8, weights, start + text)),
    )
