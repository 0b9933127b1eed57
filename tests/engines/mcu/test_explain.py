"""Explain: a report's tables and memory map say what the plan says."""

import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from engines.mcu.test_utterances import CARD, PIECE, nets, network_of, segment

from myoflow.engine import Parameters
from myoflow.engines.mcu import explain
from myoflow.engines.mcu.build import Build, compiled
from myoflow.export import mcu_project


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    part = segment()
    weights = {name: tensor.numpy() for name, tensor in network_of(part).state_dict().items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MYOFLOW_CACHE", str(tmp_path_factory.mktemp("cache")))
        return compiled(part, CARD, Parameters(weights=weights), nets.windows(3, PIECE, 8))


def test_prices_stand_beside_the_published_ones(build: Build) -> None:
    (section,) = explain.sections(build, "gap9", 100.0)
    prices, memory, layers = section["tables"]
    assert "One utterance of 3.0 s, the longest" in prices["caption"]
    assert prices["rows"][0][1] == f"{build.macs / 1e6:.1f}"
    assert prices["rows"][-1] == ["published, measured on GAP9", "1921", "", "785 ms", "44.91 mJ"]
    assert memory["rows"][0] == ["L1", f"{build.plan.l1 / 1024:.1f} KiB", "118 KiB"]
    assert len(layers["rows"]) == len(build.network.layers)
    assert {len(row) for table in section["tables"] for row in table["rows"]} == {5, 3, 9}
    gelu = next(row for row in build.rows if row.name.endswith("mlp.fc1"))
    assert gelu.saturated < 0.01  # many zeros behind a GELU are not clipped


def test_a_project_for_utterances_proves_itself(build: Build, tmp_path: Path) -> None:
    mcu_project._write(tmp_path, build, nets.windows(3, PIECE, 2, seed=5), "")
    assert (tmp_path / "windows.bin").stat().st_size == 2 * (4 + 3 * PIECE)
    if shutil.which("make") is None or shutil.which("cc") is None:
        pytest.skip("needs make and cc")
    said = subprocess.run(["make", "check"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.returncode == 0 and "the same on every bit" in said.stdout, said.stderr


def test_the_map_draws_every_value_inside_its_frame(build: Build, tmp_path: Path) -> None:
    svg = ElementTree.fromstring(explain.memory_map(build))
    wide, high = (float(x) for x in svg.attrib["viewBox"].split()[2:])
    boxes: list[Any] = [e for e in svg.iter() if e.tag.endswith("rect")]
    legend = len(explain.KINDS)
    assert len(boxes) == 2 * len(build.network.layers) - 1 + legend
    for box in boxes:
        x, y, w, h = (float(box.attrib[key]) for key in ("x", "y", "width", "height"))
        assert x >= 0 and y >= 0 and x + w <= wide + 0.2 and y + h <= high + 0.2
