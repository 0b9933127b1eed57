"""tinymyo: the plan's costs against published counts and the module, and field errors."""

from __future__ import annotations

import subprocess
import sys

import pytest

from myoflow.errors import PlanError
from myoflow.spec import TOKENS, Spec
from myoflow.stages.tinymyo import TinyMyo


def tokens(channels: int, patches: int, features: int = 20) -> Spec:
    spec = Spec.signal(channels, 2000.0, labels=tuple("abcdef"))
    return spec.evolve(dims=TOKENS, sizes=(None, channels, patches, features), step_s=0.25)


@pytest.mark.parametrize(
    ("channels", "patches", "layers", "gmac"),
    [(8, 50, 8, 1.909), (16, 50, 8, 4.80), (16, 10, 8, 0.646), (8, 10, 8, 0.303), (8, 50, 4, 0.955)],
)
def test_macs_are_the_published_ones(channels, patches, layers, gmac):
    cost = TinyMyo(layers=layers).cost(tokens(channels, patches))
    assert cost.macs / 1e9 == pytest.approx(gmac, rel=0.01)


@pytest.mark.parametrize("positions", ["rotary", "none"])
def test_parameters_are_those_of_the_module(positions):
    stage, spec = TinyMyo(positions=positions, layers=3, width=32, heads=4, mlp=2), tokens(5, 3, 7)
    count = sum(p.numel() for p in stage.module(spec).parameters())
    assert stage.cost(spec).parameters == count
    assert TinyMyo(positions="none").cost(tokens(8, 50)).parameters == 3_563_520


def test_plan_keeps_the_dims_and_gives_the_width():
    assert TinyMyo(width=64, heads=2).plan(tokens(8, 5)).sizes == (None, 8, 5, 64)


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"width": 100, "heads": 3}, "heads", "cannot be shared by 3 heads"),
        ({"width": 9, "heads": 3}, "heads", "must be even, got 3"),
        ({"layers": 0}, "layers", "at least 1, got 0"),
        ({"drop_path": 1.0}, "drop_path", "below 1, got 1.0"),
    ],
)
def test_field_errors(fields, field, words):
    with pytest.raises(PlanError, match=words) as caught:
        TinyMyo(**fields).plan(tokens(8, 5))
    assert caught.value.field == field


def test_planning_does_not_import_torch():
    code = (
        "import sys; from myoflow.spec import *; from myoflow.stages import classify, patch, tinymyo as t;"
        "s = Spec.signal(8, 200.0).evolve(dims=TOKENS, sizes=(None, 8, 5, 20)); t.TinyMyo().plan(s);"
        "t.TinyMyo().cost(s); sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
