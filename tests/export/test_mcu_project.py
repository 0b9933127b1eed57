"""A tiny run on gap9: report, verification, and a C project that proves itself."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tiny
from typer.testing import CliRunner

import myoflow as mf
from myoflow.cli import app
from myoflow.engines.mcu import lanes
from myoflow.errors import InputError
from myoflow.live.decoder import Decoder
from myoflow.run import Run, load_run

pytestmark = pytest.mark.skipif(lanes.missing("host") is not None, reason=str(lanes.missing("host")))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run on gap9 in `chip`."""
    return tiny.run(tmp_path_factory.mktemp("place"), "chip", backend="gap9")


@pytest.fixture
def run(place: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(place)
    return load_run(place / "chip")


def test_a_run_reports_accuracy_memory_cycles_and_energy(run: Run) -> None:
    parity = run.metrics["parity"]["tinymyo"]
    assert parity["backends"] == ["gap9"] and not parity["problems"]
    page = (run.folder / "report.html").read_text()
    for words in ("On the chip: gap9", "44.91 mJ", "Memory map of L2", "tinymyo.blocks.0.mlp.fc1", "SNR dB", "± 30%"):
        assert words in page, words


def test_the_project_builds_and_proves_itself(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "project"
    done = CliRunner().invoke(app, ["export", str(run.folder), str(out), "--backend", "gap9"])
    assert done.exit_code == 0, done.output
    assert len((out / "network.c").read_text().splitlines()) < 1500
    assert (out / "weights.bin").stat().st_size > 1000
    if shutil.which("make") and shutil.which("cc"):
        said = subprocess.run(["make", "check"], cwd=out, capture_output=True, text=True, check=False)
        assert said.returncode == 0 and "the same on every bit" in said.stdout, said.stderr
    if shutil.which("cppcheck"):
        words = ["cppcheck", "--enable=warning,style,performance,portability", "--error-exitcode=1", "--quiet", "-I."]
        files = [str(path) for path in sorted(out.glob("*.c"))]
        said = subprocess.run([*words, *files], cwd=out, capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stderr


def test_a_stream_has_the_chips_filters_and_decides_as_offline(run: Run) -> None:
    run = load_run(run.folder)
    decoder = Decoder(run.pipeline(backend="gap9").plan(run.spec()), run.pipeline(backend="gap9").parameters)
    assert decoder.told == ("filters, windows and scaling are gap9's own, in integers",)
    live = list(mf.stream(run, "replay?speed=max", backend="gap9"))
    plain = list(mf.stream(run, "replay?speed=max"))
    assert len(live) == len(plain) > 20 and [d.time_s for d in live] == [d.time_s for d in plain]
    assert np.mean([a.label == b.label for a, b in zip(live, plain, strict=True)]) > 0.95


def test_a_folder_in_use_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is in use; name an empty folder"):
        run.export(tmp_path, "gap9")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_run_without_calibration_windows_says_so(run: Run, tmp_path: Path) -> None:
    kept = run.folder / "fold-1" / "tinymyo" / "seed-0" / "calibration.npy"
    kept.rename(tmp_path / "away.npy")
    try:
        with pytest.raises(InputError, match=r"needs training windows to measure their ranges on.*calibration\.npy"):
            run.export(tmp_path / "out", "gap9")
    finally:
        (tmp_path / "away.npy").rename(kept)
    assert not (tmp_path / "out").exists()


def test_lanes_are_listed() -> None:
    said = " ".join(CliRunner().invoke(app, ["list", "backends"]).output.split())
    assert "lanes that run" in said and "gvsoc" in said
