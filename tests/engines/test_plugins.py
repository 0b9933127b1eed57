"""Places to run that are not shipped: one by a YAML file alone, one by a package with an engine of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from myoflow.engine import ENGINES, Parameters
from myoflow.network import build
from myoflow.pipeline import Pipeline, compile_steps
from myoflow.spec import Spec

SPEC = Spec.signal(4, 200.0, labels=("rest", "fist"))
STAGES = """
- window: {length: 200 ms, stride: 100 ms}
- patch: {length: 10 samples}
- tinymyo: {layers: 1, width: 16, heads: 2}
- classify
"""

ENGINE = '''
"""A third party's engine: torch in float64."""
from myoflow.engine import Engine
from myoflow.network import trained

class Program:
    choices = ("all in float64",)
    def __init__(self, module, empty):
        self.module, self.empty = module, empty
    def feed(self, chunk):
        import torch
        with torch.inference_mode():
            return self.module(torch.from_numpy(chunk).double()).float().numpy()
    def flush(self):
        import numpy as np
        return np.empty(self.empty, np.float32)

class Precise(Engine):
    def runs(self, stage):
        return stage.on_torch()
    def choices(self, backend):
        return Program.choices
    def compile(self, segment, backend, parameters, calibration=None):
        module = trained(segment, parameters.weights).double()
        return Program(module, tuple(size or 0 for size in segment.output.sizes))
'''


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """What installing a distribution leaves behind, and a backend card beside the recipes."""
    site = tmp_path / "site"
    info = site / "lab_engine-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "lab_engine.py").write_text(ENGINE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-engine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[myoflow.engines]\nprecise = lab_engine:Precise\n")
    (tmp_path / "backends").mkdir()
    card = "title: Float64\ndescription: Learned stages in float64.\nengine: precise\ntolerance: 1e-5\n"
    (tmp_path / "backends" / "float64.yaml").write_text(card)
    return site


def myoflow(folder: Path, site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "160"}
    command = [sys.executable, "-m", "myoflow", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_a_package_with_an_engine_is_a_backend_like_any_other(package: Path, tmp_path: Path) -> None:
    listed = myoflow(tmp_path, package, "list", "backends")
    (row,) = [line for line in listed.stdout.splitlines() if "float64" in line]
    assert "works" in row and "Learned stages in float64." in row
    planned = myoflow(tmp_path, package, "check", "quickstart", "--backend", "float64")
    assert "float64: all in float64" in planned.stdout, planned.stderr
    alone = myoflow(tmp_path, tmp_path, "check", "quickstart", "--backend", "float64")
    assert alone.returncode == 2 and "float64.yaml:3:9: there is no engine 'precise'" in alone.stderr


def test_its_programs_run_beside_others(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here in this process: the encoder on the plugin, the rest where it was."""
    monkeypatch.syspath_prepend(str(package))
    monkeypatch.chdir(tmp_path)
    module = __import__("lab_engine")
    monkeypatch.setitem(ENGINES._found, "precise", module.Precise)
    stages = Pipeline.from_yaml(STAGES).stages
    mixed = Pipeline(stages, backends=(None, None, "float64", None)).plan(SPEC)
    plain = Pipeline(stages).plan(SPEC)
    weights = {name: tensor.numpy() for name, tensor in build(plain.segments(1)[0]).state_dict().items()}
    x = np.random.default_rng(0).standard_normal((5, 4, 40)).astype(np.float32)
    parameters = Parameters(weights=weights)
    found, expected = (compile_steps(made, parameters, 1).feed(x) for made in (mixed, plain))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert "all in float64" in compile_steps(mixed, parameters, 1).choices
    assert [segment.backend for segment in mixed.segments(1)] == ["torch", "float64", "torch"]


def test_a_yaml_file_is_a_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "backends").mkdir()
    (tmp_path / "backends" / "mine.yaml").write_text("engine: torch\nprecision: bf16\nthreads: 1\ntolerance: 0.1\n")
    monkeypatch.chdir(tmp_path)
    stages = Pipeline.from_yaml(STAGES).stages
    plan = Pipeline(stages, backend="mine").plan(SPEC)
    assert [step.backend for step in plan.steps] == ["host", "mine", "mine", "mine"]
    (segment,) = plan.segments(1)
    weights = {name: tensor.numpy() for name, tensor in build(segment).state_dict().items()}
    x = np.random.default_rng(0).standard_normal((5, 4, 40)).astype(np.float32)
    found, expected = (
        compile_steps(made, Parameters(weights=weights), 1).feed(x) for made in (plan, Pipeline(stages).plan(SPEC))
    )
    gap = np.abs(found - expected).max()
    assert 0 < gap < 0.1 * float(np.sqrt(np.mean(expected**2)))


def test_segments_hand_over_once_and_without_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a program gives is the very memory that the next one is fed, one call per segment."""
    from myoflow.lower.batches import Batches

    stages = Pipeline.from_yaml(STAGES).stages
    plan = Pipeline(stages, backends=(None, "torch", "torch-bf16", "torch")).plan(SPEC)
    plain = Pipeline(stages).plan(SPEC)
    weights = {name: tensor.numpy() for name, tensor in build(plain.segments(1)[0]).state_dict().items()}
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    known = Batches.feed

    def feed(self: Batches, chunk: np.ndarray) -> np.ndarray:
        out = known(self, chunk)
        seen.append((chunk, out))
        return out

    monkeypatch.setattr(Batches, "feed", feed)
    x = np.random.default_rng(0).standard_normal((3, 4, 40)).astype(np.float32)
    out = compile_steps(plan, Parameters(weights=weights), 1).feed(x)
    assert len(seen) == 3 and seen[0][0] is x and seen[-1][1] is out
    for (_, given), (taken, _) in pairwise(seen):
        assert given is taken
    assert np.shares_memory(seen[0][1], x), "a reshape of numpy's memory in torch is no copy"
