"""myoflow: surface EMG from raw files to a running decoder.

`import myoflow as mf` gives `mf.load_recipe`, `mf.load_run`, `mf.open_store`, `mf.stream`, `mf.Pipeline`, `mf.Spec` and
every stage class under its own name (`mf.Bandpass`). Each is imported when it is first used.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

# Before torch is imported anywhere: its threads spin while they wait, and on a machine that is busy with anything
# else two spinning threads are up to 30 times slower than one (docs/design.md, threads).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"

if TYPE_CHECKING:
    from myoflow.data.source import convert_dataset as convert
    from myoflow.errors import InputError, MyoflowError, PlanError, RecipeError
    from myoflow.export.program import load_program
    from myoflow.live import stream
    from myoflow.live.calibrate import calibrate
    from myoflow.nn.model import load_model
    from myoflow.parallel import Workers
    from myoflow.pipeline import Pipeline
    from myoflow.recipe import load_recipe
    from myoflow.run import load_run
    from myoflow.spec import Spec
    from myoflow.store import open_store

_PLACES = {
    "InputError": "errors",
    "MyoflowError": "errors",
    "PlanError": "errors",
    "calibrate": "live.calibrate",
    "RecipeError": "errors",
    "Pipeline": "pipeline",
    "Spec": "spec",
    "Workers": "parallel",
    "convert": "data.source:convert_dataset",
    "load_model": "nn.model",
    "load_program": "export.program",
    "load_recipe": "recipe",
    "load_run": "run",
    "open_store": "store",
    "stream": "live",
}

__all__ = [
    "InputError",
    "MyoflowError",
    "Pipeline",
    "PlanError",
    "RecipeError",
    "Spec",
    "Workers",
    "calibrate",
    "convert",
    "load_model",
    "load_program",
    "load_recipe",
    "load_run",
    "open_store",
    "stream",
]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        module, _, attribute = _PLACES[name].partition(":")
        return getattr(importlib.import_module(f"myoflow.{module}"), attribute or name)
    if name[:1].isupper():
        from myoflow.stage import STAGES

        for stage in STAGES:
            if STAGES[stage].__name__ == name:
                return STAGES[stage]
    raise AttributeError(f"module 'myoflow' has no attribute '{name}'")


def __dir__() -> list[str]:
    from myoflow.stage import STAGES

    return sorted([*__all__, "__version__", *(STAGES[name].__name__ for name in STAGES)])
