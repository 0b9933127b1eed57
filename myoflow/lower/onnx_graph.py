"""ONNX graph: a segment's torch modules as one ONNX model, checked before anybody uses it."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from myoflow.errors import InputError, MyoflowError

if TYPE_CHECKING:
    import torch

    from myoflow.dsp.kernel import Array
    from myoflow.spec import Spec

INPUT, OUTPUT = "emg", "output"
OPSET = 20
CLOSE = 1e-4  # largest difference from torch, relative to the outputs' root mean square
BATCHES = (1, 3)  # sizes at which the model is compared with torch
LONGEST = 1 << 15  # samples of an utterance: half a minute and more at the rates that speech is decoded at
LENGTHS = (1600, 3203)  # at which a model of utterances is compared with torch


def lower(module: torch.nn.Module, spec: Spec, metadata: Mapping[str, str] | None = None) -> bytes:
    """`module`, in eval mode, as an ONNX model: input `emg` with a dynamic batch, all other sizes fixed.

    One of utterances takes one at a time, of any length up to `LONGEST`. The model has passed onnx.checker and gives
    what torch gives.

    Raises:
        MyoflowError: it does not, or torch cannot export the module.
    """
    import onnx
    import torch

    from myoflow.nn.inference import arranged

    form = arranged(module)
    program: Any
    with quiet(), torch.no_grad():
        try:
            example, free = _example(form, spec)
            program = torch.onnx.export(
                form,
                (example,),
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=(free,),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise MyoflowError(f"torch cannot export {type(module).__name__} to ONNX: {reason}") from error
    model = program.model_proto
    _name_products(model, form)
    for key, value in (metadata or {}).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString()
    _compare(module, data, spec)
    return data


def opens(spec: Spec) -> bool:
    """Whether it is of utterances, each of its own length."""
    return None in spec.sizes[1:]


def within(batch: Array, spec: Spec) -> Array:
    """The batch, if a model of this input takes it. Raises InputError: an utterance is too long."""
    if opens(spec) and batch.shape[-1] > LONGEST:
        long, most = (size / spec.rate_hz for size in (batch.shape[-1], LONGEST))
        raise InputError(
            f"an utterance of {long:.1f} s is longer than this backend's model takes, {most:.1f} s; cut it"
        )
    return batch


def _example(form: torch.nn.Module, spec: Spec) -> tuple[torch.Tensor, dict[int, Any]]:
    """What the module is exported with, and which of its sizes stay free."""
    import torch

    if not opens(spec):
        return torch.zeros(2, *map(int, spec.sizes[1:])), {0: torch.export.Dim("batch", min=1, max=4096)}  # type: ignore[arg-type]
    axis = spec.sizes.index(None, 1)
    form(torch.zeros(_sized(spec, LONGEST)))  # tables of positions grow with the longest utterance so far
    return torch.zeros(_sized(spec, LENGTHS[0])), {axis: torch.export.Dim("time", min=2, max=LONGEST)}


def _sized(spec: Spec, length: int) -> tuple[int, ...]:
    return (1, *(length if size is None else size for size in spec.sizes[1:]))


def products(model: Any) -> list[Any]:
    """Nodes that multiply by a weight, in order; the others multiply two activations."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [
        node
        for node in model.graph.node
        if node.op_type in ("MatMul", "Gemm") and len(node.input) > 1 and node.input[1] in weights
    ]


def _name_products(model: Any, module: torch.nn.Module) -> None:
    """Call each product as torch calls its layer, which is the one with that weight.

    The exporter turns weights round and merges equal constants, and so forgets whose they are.
    """
    import torch
    from onnx.numpy_helper import to_array

    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    layers = {
        name: part.weight.detach().numpy() for name, part in module.named_modules() if isinstance(part, torch.nn.Linear)
    }
    for node in products(model):
        found = to_array(weights[node.input[1]])
        for name, weight in layers.items():
            if np.array_equal(found, weight.T) or np.array_equal(found, weight):
                node.name = name
                del layers[name]
                break


def _compare(module: torch.nn.Module, data: bytes, spec: Spec) -> None:
    import torch

    run = session(data, 1)
    rng = np.random.default_rng(0)
    shapes = [_sized(spec, n) for n in LENGTHS] if opens(spec) else [(n, *_sized(spec, 0)[1:]) for n in BATCHES]
    for shape in shapes:
        x = rng.standard_normal(shape).astype(np.float32)
        with torch.no_grad():
            expected = module(torch.from_numpy(x)).numpy()
        scale = float(np.sqrt(np.mean(expected**2))) or 1.0
        off = float(np.abs(run(x) - expected).max()) / scale
        if not off <= CLOSE:
            raise MyoflowError(f"the ONNX model differs from torch by {off:.1e} of its outputs with {shape} numbers")


class session:
    """An onnxruntime session as a function of a batch `(window, ...)`."""

    def __init__(self, data: bytes, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # spinning threads starve everything else on a busy machine
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    @property
    def metadata(self) -> dict[str, str]:
        """What the model says about itself."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def __call__(self, batch: Array) -> Array:
        out: Array = self._session.run(None, {self._input: batch})[0]
        return out


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The exporter prints and warns about itself."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
