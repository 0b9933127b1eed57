"""A tiny trained run that the tests of live streams share."""

from pathlib import Path

import pytest
import tiny

from myoflow.recipe import load
from myoflow.run import Run, load_run, run_recipe


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run in `plain` and its store in `data/tiny.zarr`."""
    folder = tmp_path_factory.mktemp("live")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MYOFLOW_DATA", raising=False)
        patch.delenv("MYOFLOW_CACHE", raising=False)
        path = tiny.write(folder, tiny.RECIPE.replace("seeds: [0, 1]", "seeds: [0]"))
        run_recipe(load(path), out=folder / "plain")
    return folder


@pytest.fixture
def run(place: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(place)
    monkeypatch.delenv("MYOFLOW_DATA", raising=False)
    monkeypatch.delenv("MYOFLOW_CACHE", raising=False)
    return load_run(place / "plain")
