"""Files: whole or not at all."""

from pathlib import Path

import pytest

from myoflow.files import beside, read_json, write_json, write_text


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a" / "x.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), beside(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["x.txt"]


def test_json_round_trip_and_default(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    assert read_json(path, {"none": 1}) == {"none": 1}
    write_json(path, {"a": [1, None]})
    assert read_json(path, {}) == {"a": [1, None]}
