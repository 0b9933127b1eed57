"""A tiny trained run that the tests of live streams share."""

from pathlib import Path

import pytest
import tiny

from myoflow.run import Run, load_run


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run in `plain` and its store in `data/tiny.zarr`."""
    return tiny.run(tmp_path_factory.mktemp("live"), "plain")


@pytest.fixture
def run(place: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(place)
    return load_run(place / "plain")
