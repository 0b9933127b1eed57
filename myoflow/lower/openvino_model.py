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

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array

_IR = b"ir  "  # how a model of two files begins; ONNX models begin otherwise


def compiled(data: bytes, precision: str, threads: int) -> Callable[[Array], Array]:
    """A function of a batch `(window, ...)`, from an ONNX model or what `quantised` gave."""
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    model = core.compile_model(_model(core, data), "CPU", settings)
    request = model.create_infer_request()
    output = model.output(0)

    def run(batch: Array) -> Array:
        out: Array = request.infer({0: batch}, share_inputs=True)[output].copy()
        return out

    return run


def quantised(data: bytes, calibration: Array, float_layers: Sequence[str]) -> bytes:
    """The model with int8 products, quantised by NNCF on `calibration`; layers matching `float_layers` stay in float.

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
