"""A model file alone, without its run, recipe and weights, decides as the run does, live and offline; no torch."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import xarray as xr

import myoflow as mf
from myoflow.errors import InputError, MyoflowError
from myoflow.pipeline import Pipeline
from myoflow.recipe import load
from myoflow.run import Run, load_run, run_recipe

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnxscript", "onnxruntime")), reason="needs the extra onnx"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MYOFLOW_CACHE", str(folder / "cache"))
        path = tiny.write(folder, tiny.ONE_SEED.replace("epochs: 2", "epochs: 1"))
        run_recipe(load(path), out=folder / "run")
        (load_run(folder / "run")).export(folder / "model.onnx")
        (load_run(folder / "run")).export(folder / "int8.onnx", backend="onnx-int8")
        yield load_run(folder / "run")


@pytest.fixture(scope="module")
def recording(run: Run) -> xr.DataArray:
    store = mf.open_store(run.folder.parent / "data" / "tiny.zarr")
    return store.emg(store.rows[-1].id)


@pytest.fixture
def here(run: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(run.folder.parent)
    monkeypatch.setenv("MYOFLOW_CACHE", str(run.folder.parent / "cache"))
    return run.folder.parent


@pytest.mark.parametrize(("file", "backend"), [("model.onnx", "onnx"), ("int8.onnx", "onnx-int8")])
def test_the_file_gives_what_the_run_gives(
    file: str, backend: str, run: Run, recording: xr.DataArray, here: Path, tmp_path: Path, monkeypatch
) -> None:
    expected = run.predict(recording, backend=backend)
    alone = tmp_path / file
    alone.write_bytes((here / file).read_bytes())
    monkeypatch.chdir(tmp_path)  # no run, no recipe, no data here
    model = mf.load_program(alone)
    found = model.predict(recording)
    xr.testing.assert_identical(found, expected)
    live = model.stream()
    pieces = [live.feed(recording.values[:, start : start + 37]) for start in range(0, recording.shape[1], 37)]
    np.testing.assert_allclose(np.concatenate([*pieces, live.flush()]), expected.values, atol=1e-5)
    assert any(choice.startswith("all in" if backend == "onnx" else "products") for choice in model.program.choices)


def test_the_metadata_is_what_a_stranger_needs(run: Run, here: Path) -> None:
    told = mf.load_program("model.onnx").told
    spec = run.spec()
    assert json.loads(told["rate_hz"]) == spec.rate_hz and tuple(json.loads(told["channels"])) == spec.channels
    assert told["units"] == spec.units and told["digest"] == run.recipe.digest and told["precision"] == "float32"
    assert json.loads(told["labels"]) == ["rest", "fist", "flexion"]
    (scaled,) = json.loads(told["normalisation"])
    assert scaled["stage"] == "zscore" and scaled["over"] == "train"
    assert {np.size(learned["values"]) for learned in scaled["learned"].values()} == {8}
    assert json.loads(told["parameters"]) > 1000 and json.loads(told["macs"]) > 10_000


def test_onnxruntime_and_the_file_are_enough(
    run: Run, recording: xr.DataArray, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script of docs/onnx.md, which knows nothing of myoflow."""
    whole = run.pipeline()
    assert whole.stages[-1].name == "vote", "the one stage behind the network"
    network = Pipeline(whole.stages[:-1], parameters=whole.parameters)
    expected = network.run(recording.assign_attrs(labels=list(run.spec().labels)))
    (script,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "onnx.md").read_text(encoding="utf-8"), flags=re.S)
    assert "myoflow" not in script.replace("`myoflow show", "")
    (tmp_path / "model.onnx").write_bytes((here / "model.onnx").read_bytes())
    np.save(tmp_path / "x.npy", recording.values)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(script, "docs/onnx.md", "exec"), names)
    np.testing.assert_allclose(names["scores"], expected.values, atol=1e-4)


def test_no_torch_is_needed(recording: xr.DataArray, here: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", recording.values)
    program = f"""
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError("there is no torch here")
sys.meta_path.insert(0, NoTorch())
import numpy as np, xarray as xr, myoflow as mf
model = mf.load_program({str(here / "model.onnx")!r})
spec = model.plan.input
x = xr.DataArray(np.load({str(tmp_path / "x.npy")!r}), dims=("channel", "time"),
                 attrs={{"SamplingFrequency": spec.rate_hz, "units": spec.units}})
print(model.predict(x).shape[1])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.strip() == "3", done.stderr


def test_what_does_not_fit_is_said(recording: xr.DataArray, here: Path) -> None:
    model = mf.load_program("model.onnx")
    with pytest.raises(InputError, match=r"model\.onnx: trained on 8 channels, got 7"):
        model.predict(recording[:7])
    with pytest.raises(InputError, match=r"trained at 200 Hz, got 1000 Hz"):
        model.predict(recording.drop_vars("time", errors="ignore").assign_attrs(SamplingFrequency=1000))
    with pytest.raises(InputError, match="trained on V, got mV"):
        model.predict(recording.assign_attrs(units="mV"))
    with pytest.raises(InputError, match="the array has no units; trained on V"):
        model.predict(recording.drop_attrs().assign_attrs(SamplingFrequency=200))
    with pytest.raises(InputError, match="put them in that order"):
        model.predict(recording[::-1])
    gap = recording.copy()
    gap[2, 40] = np.nan
    with pytest.raises(InputError, match=r"1 samples are not finite, the first in channel E3 at 0\.200 s"):
        model.predict(gap)
    by_clock = recording.copy()
    del by_clock.attrs["SamplingFrequency"]  # its rate is that of its times, but for rounding
    xr.testing.assert_allclose(model.predict(by_clock), model.predict(recording))


def test_a_file_that_is_none_is_refused(here: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no file .*none\.onnx; `myoflow export RUN"):
        mf.load_program(tmp_path / "none.onnx")
    whole = (here / "model.onnx").read_bytes()
    (tmp_path / "short.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MyoflowError, match=r"short\.onnx is damaged or no ONNX model"):
        mf.load_program(tmp_path / "short.onnx")
    import onnx

    bare = onnx.load_from_string(whole)
    del bare.metadata_props[:]
    onnx.save(bare, tmp_path / "bare.onnx")
    with pytest.raises(InputError, match=r"bare\.onnx does not say what it takes"):
        mf.load_program(tmp_path / "bare.onnx")


@pytest.mark.parametrize(
    ("name", "told"), [("x.foo", "as a .foo file"), ("model", "no ending"), ("x.tflite", "as a .tflite file")]
)
def test_an_ending_that_nothing_is_written_as_is_refused(name: str, told: str, run: Run, here: Path) -> None:
    with pytest.raises(InputError, match=rf"{name}: .*{told}.*\.onnx is one model file.*a folder is C"):
        run.export(here / name)
    with pytest.raises(InputError, match=r"is written as a folder of C, not as a \.onnx file"):
        run.export(here / "chip.onnx", backend="gap9")
    assert not (here / name).exists() and not (here / "chip.onnx").exists()


def test_a_place_that_cannot_be_written_is_told_before_the_work(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *words: False)
    with pytest.raises(InputError, match=rf"deep/x\.onnx cannot be written: no permission in {here}"):
        run.export(here / "deep" / "x.onnx")


def test_an_int8_file_beyond_its_tolerance_is_not_written(run: Run, here: Path) -> None:
    (here / "backends").mkdir(exist_ok=True)
    (here / "backends" / "exact8.yaml").write_text("engine: onnx\nprecision: int8\ntolerance: 1e-9\n")
    with pytest.raises(
        MyoflowError, match=r"in int8 the model's output on the calibration windows differs by .* name layers to keep"
    ):
        run.export(here / "exact.onnx", backend="exact8")
    assert not (here / "exact.onnx").exists()
