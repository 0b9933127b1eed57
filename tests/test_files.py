"""Files: whole or not at all."""

import errno
import types
from pathlib import Path

import pytest
import tiny
from typer.testing import CliRunner

from myoflow import files
from myoflow.cli import app
from myoflow.errors import InputError
from myoflow.files import beside, cache_folder, locked, read_json, write_json, write_text


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a" / "x.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), beside(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["x.txt"]


@pytest.mark.parametrize(
    "error",
    [
        OSError("287000 requested and 72672 written"),  # numpy
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed"),
        ValueError("I/O error: No space left on device (os error 28)"),  # safetensors
    ],
)
def test_a_full_disk_is_told_with_the_files_name(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: types.SimpleNamespace(free=0))
    with pytest.raises(OSError, match="No space left") as caught, beside(tmp_path / "weights"):
        raise error
    assert caught.value.filename == str(tmp_path / "weights") and not list(tmp_path.iterdir())
    with pytest.raises(RuntimeError, match="wrong shape"), beside(tmp_path / "weights"):
        raise RuntimeError("wrong shape")


def test_json_round_trip_and_default(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    assert read_json(path, {"none": 1}) == {"none": 1}
    write_json(path, {"a": [1, None]})
    assert read_json(path, {}) == {"a": [1, None]}


def test_a_lock_that_its_holder_has_removed_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder leaves between the opening of the lock file here and its locking: another one could make a new one."""
    real, calls = files.fcntl.flock, []

    def slow(file: object, operation: int) -> None:
        calls.append(file)
        if len(calls) == 1:
            (tmp_path / ".lock").unlink()
        real(file, operation)

    monkeypatch.setattr(files.fcntl, "flock", slow)
    with locked(tmp_path):
        assert len(calls) == 2
        with pytest.raises(InputError, match="another process is working"), locked(tmp_path):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("MYOFLOW_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(InputError, match=r"file/cache cannot be written \(Not a directory\); set MYOFLOW_C") as found:
        cache_folder()
    assert found.value.exit_code == 2 and "\n" not in str(found.value)
    monkeypatch.setenv("MYOFLOW_CACHE", str(tmp_path / "new" / "cache"))
    assert cache_folder("judges") == tmp_path / "new" / "cache" / "judges" and cache_folder("judges").is_dir()
    monkeypatch.setattr("myoflow.files.os.access", lambda path, mode: False)  # as on a disk that is only read
    with pytest.raises(InputError, match="no permission, or a disk that is only read"):
        cache_folder()


def test_a_run_says_so_before_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cache").write_text("a file in the cache's place")
    path = tiny.write(tmp_path)
    done = CliRunner().invoke(app, ["run", str(path), "--out", "run"])
    assert isinstance(done.exception, InputError) and "the cache folder cache cannot be written" in str(done.exception)
    assert not (tmp_path / "run").exists()
