"""Profile: what calibration has learned of one person, on top of a run's model."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import asdict, evolve, frozen

from myoflow.engine import Parameters
from myoflow.errors import InputError
from myoflow.files import beside

if TYPE_CHECKING:
    from myoflow.run import Run

FORMAT = "myoflow-profile-1"


@frozen(eq=False)
class Profile:
    """Numbers that take the place of the run's, and where they come from.

    `base` is the SHA-256 of the weights that they were learned on: on others they mean nothing. `before` and `after`
    are the shares of calibration windows decided rightly, each repetition by numbers learned on the others.
    """

    user: str
    model: str
    base: str
    method: str
    windows: int
    repetitions: int
    before: float
    after: float
    states: dict[int, dict[str, Any]]
    weights: dict[str, Any]

    def over(self, parameters: Parameters) -> Parameters:
        """The run's numbers, with this person's in their place."""
        states = {**parameters.states, **self.states}
        return evolve(parameters, states=states, weights={**parameters.weights, **self.weights})

    def save(self, path: Path) -> None:
        """One safetensors file, whole or not at all."""
        from safetensors.numpy import save_file

        tensors = {f"state.{i}.{key}": np.ascontiguousarray(v) for i, s in self.states.items() for key, v in s.items()}
        tensors |= {f"weight.{name}": np.ascontiguousarray(value) for name, value in self.weights.items()}
        told = asdict(self, filter=lambda field, value: field.name not in ("states", "weights"))
        with beside(path) as part:
            save_file(tensors, str(part), metadata={"myoflow": json.dumps({"format": FORMAT, **told})})


def base_of(run: Run, model: str) -> str:
    """The SHA-256 of the weights that a run streams with."""
    return hashlib.sha256(run.weights_file(model).read_bytes()).hexdigest()


def load_profile(path: str | Path, run: Run, model: str) -> Profile:
    """Read a profile for a model of a run.

    Raises:
        InputError: it is no profile, or was learned on another run or model.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no profile at {path}; `myoflow calibrate` makes one")
    states: dict[int, dict[str, Any]] = defaultdict(dict)
    weights: dict[str, Any] = {}
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
        raise InputError(f"{path} is not a readable profile: {error}") from None
    if told.pop("format", None) != FORMAT:
        raise InputError(f"{path} is not a profile of this version of `myoflow calibrate`")
    profile = Profile(**told, states=dict(states), weights=weights)
    if profile.model != model:
        raise InputError(f"{path} calibrates the model {profile.model}, not {model}; add --model {profile.model}")
    if profile.base != base_of(run, model):
        raise InputError(f"{path} was calibrated on another run than {run.folder}; calibrate again")
    return profile
