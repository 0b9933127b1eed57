"""Weights: a pipeline's learned numbers in one safetensors file that says what it belongs to."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from attrs import asdict, frozen

from myoflow.engine import Parameters
from myoflow.errors import InputError
from myoflow.files import beside
from myoflow.spec import Spec, Target

if TYPE_CHECKING:
    from myoflow.recipe import Recipe

FORMAT = "myoflow-1"
CALIBRATION = "calibration.npy"


@frozen
class Header:
    """What the file's metadata says: the recipe's digest and the signal that the pipeline was trained on."""

    recipe: str
    channels: tuple[str, ...]
    rate_hz: float
    units: str
    labels: tuple[str, ...]
    model: str
    target: Target | None = None

    @classmethod
    def of(cls, recipe: str, spec: Spec, model: str) -> Header:
        """Header for a pipeline with input `spec`."""
        return cls(recipe, spec.channels, spec.rate_hz, spec.units, spec.labels, model, spec.target)

    def spec(self) -> Spec:
        """The input Spec."""
        return Spec.signal(self.channels, self.rate_hz, units=self.units, labels=self.labels, target=self.target)


def save(path: Path, parameters: Parameters, header: Header) -> None:
    """Write beside, then rename. States are stored as `state.<stage index>.<key>`, tensors as `weight.<name>`."""
    from safetensors.numpy import save_file

    tensors: dict[str, npt.NDArray[Any]] = {}
    for index, state in parameters.states.items():
        for key, value in state.items():
            tensors[f"state.{index}.{key}"] = np.asarray(value, order="C")
    for name, value in parameters.weights.items():
        tensors[f"weight.{name}"] = np.asarray(value, order="C")  # ascontiguousarray would make a vector of a number
    told = {"format": FORMAT, **asdict(header)}
    # One entry: safetensors writes several in an order that changes from run to run.
    metadata = {"myoflow": json.dumps(told)}
    with beside(path) as part:
        save_file(tensors, str(part), metadata=metadata)


def save_calibration(folder: Path, windows: npt.NDArray[Any]) -> None:
    """Keep training windows beside the weights, for backends that measure ranges on them."""
    with beside(folder / CALIBRATION) as part, part.open("wb") as file:
        np.save(file, windows.astype(np.float32, copy=False))


def calibration(folder: Path) -> npt.NDArray[Any] | None:
    """The windows that `save_calibration` kept, read when they are touched; None when there are none."""
    path = folder / CALIBRATION
    try:
        return np.load(path, mmap_mode="r") if path.is_file() else None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}); delete it, and run again for an int8 backend") from None


def load(path: Path) -> tuple[Parameters, Header]:
    """Read a file written by `save`. Raises InputError when it is missing, damaged or of another kind."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise InputError(f"there are no weights at {path}; has the run finished?")
    states: dict[int, dict[str, npt.NDArray[Any]]] = defaultdict(dict)
    weights: dict[str, npt.NDArray[Any]] = {}
    try:
        with safe_open(str(path), framework="numpy") as file:
            told = json.loads((file.metadata() or {}).get("myoflow", "{}"))
            for key in file.keys():  # noqa: SIM118 - not a mapping
                kind, _, rest = key.partition(".")
                if kind == "state":
                    index, _, name = rest.partition(".")
                    states[int(index)][name] = file.get_tensor(key)
                else:
                    weights[rest] = file.get_tensor(key)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path} is not a readable safetensors file: {error}") from None
    if told.pop("format", None) != FORMAT:
        raise InputError(f"{path} was not written by this version of `myoflow run`: it has no header '{FORMAT}'")
    told["channels"], told["labels"] = tuple(told["channels"]), tuple(told["labels"])
    header = Header(**{**told, "target": Target.of(told.get("target"))})
    return Parameters(dict(states), weights, calibration(path.parent)), header


def begun(recipe: Recipe, weights: Sequence[str | None] | None = None) -> list[str]:
    """The weights that a recipe's training begins with: those of its stages (or the given ones), and the whole network
    of `train.start`."""
    given = [getattr(stage, "weights", None) for stage in recipe.pipeline] if weights is None else weights
    return [str(path) for path in (*given, recipe.train.start) if path]


def run_of(weights: str) -> Path | None:
    """The run that weights are of; None where they are a file that says nothing of it."""
    path = Path(weights)
    if path.is_file() and len(path.parents) > 3:  # RUN/fold-1/MODEL/seed-0/weights.safetensors
        path = path.parents[3]
    return path if (path / "recipe.yaml").is_file() else None
