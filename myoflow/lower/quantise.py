"""Quantise: an ONNX model with its large matrix products in int8, ranges measured on training windows."""

from __future__ import annotations

import fnmatch
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from myoflow.errors import InputError, MyoflowError
from myoflow.lower.onnx_graph import INPUT, products

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array


def quantised(data: bytes, calibration: Array, float_layers: Sequence[str]) -> bytes:
    """The model with every product by a weight in int8: weights per channel, inputs per tensor, both symmetric.

    Products of two activations (attention), norms and activations stay in float, and so do the first product and layers
    whose name (`tinymyo.blocks.0.mlp.fc1`) matches a pattern of `float_layers`.

    Raises:
        InputError: a pattern that matches nothing.
        MyoflowError: no product is left to quantise.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    layers = [node.name for node in products(onnx.load_from_string(data))]
    chosen = [layer for layer in layers if layer not in floats(layers, float_layers)]
    if not layers:
        return data  # a stage that only rearranges numbers
    if not chosen:
        raise MyoflowError("no matrix product is left to quantise; choose a float backend")
    logging.getLogger().disabled, before = True, logging.getLogger().disabled  # it advises on the root logger
    try:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
            source.write_bytes(data)
            quantize_static(
                str(source),
                str(target),
                _Windows(calibration),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
                op_types_to_quantize=["MatMul", "Gemm"],
                nodes_to_quantize=chosen,
                extra_options={"ActivationSymmetric": True, "WeightSymmetric": True},
            )
            return target.read_bytes()
    finally:
        logging.getLogger().disabled = before


def floats(layers: Sequence[str], patterns: Sequence[str]) -> set[str]:
    """Layers that stay in float: the first of several, and those that match one of the patterns.

    The first reads the samples, whose rare peaks leave most of them few of the 256 steps; it is small, and in 8 bits it
    costs more than all others together.

    Raises:
        InputError: a pattern that matches none.
    """
    kept = set(layers[:1]) if len(layers) > 1 else set()
    for pattern in patterns:
        matching = set(fnmatch.filter(layers, pattern))
        if not matching:
            raise InputError(f"float_layers: '{pattern}' matches no layer; layers: {', '.join(layers)}")
        kept |= matching
    return kept


class _Windows:
    """What onnxruntime reads calibration windows from."""

    def __init__(self, windows: Array) -> None:
        self._batches = (
            windows[at : at + 1] for at in range(len(windows))
        )  # a model of utterances takes one at a time

    def get_next(self) -> dict[str, Array] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}
