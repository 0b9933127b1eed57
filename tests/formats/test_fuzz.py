"""Damaged files of every format: an InputError that names the file, or a result that keeps its promises; never else."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import make_formats as make
import numpy as np
import pytest
from counting import calls

from myoflow.errors import InputError
from myoflow.formats import FORMATS, open_file
from myoflow.formats.base import Signals, _check

EVERY = make.every()
LIKE = {"npz": "npy", "bdf": "edf", "wfdb212": "wfdb", "otb4": "otb"}
MOST_CALLS = 2_000_000  # fifty times what any file here takes: sizes that a damaged head gives are not believed
MOST_BYTES = 100_000_000


def damaged(data: bytes, rng: random.Random) -> list[tuple[str, bytes]]:
    """Ways for a file to be wrong, by name; the same ones every time."""
    size = len(data)
    cases = [("empty", b""), ("one byte", data[:1]), ("zeros", bytes(size)), ("twice", data + data)]
    cases += [(f"cut at {at}", data[:at]) for at in sorted(rng.randrange(1, size) for _ in range(6))]
    for i in range(9):
        changed = bytearray(data)
        # heads are where the sizes are, so most flips go there
        reach = min(size, 1500) if i < 6 else size
        for _ in range(1 + i % 3 * 4):
            at = rng.randrange(reach)
            changed[at] ^= 1 << rng.randrange(8)
        cases.append((f"flipped {i}", bytes(changed)))
    head = bytearray(data)
    head[8 : min(size, 300)] = b"\xff" * (min(size, 300) - 8)
    cases += [("all ones in the head", bytes(head)), ("digits in the head", data[:8] + b"9" * 250 + data[258:])]
    cases += [
        ("utf-16", "9,9\n".encode("utf-16-le") * 30),
        ("noise", rng.randbytes(2000)),
        ("another", b"PK\3\4" + data[4:]),
    ]
    return cases


def attempt(path: Path, like: str | None) -> str:
    found: list[Signals] = []
    tracemalloc.start()
    try:
        calls(lambda: found.append(open_file(path, like)), MOST_CALLS)
    except InputError as error:
        assert path.stem in str(error) and "\n" not in str(error), error
        return "refused"
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MOST_BYTES
    _check(found[0])
    assert np.isfinite(found[0].gain).all()
    return "opened"


CASES = [(key, part) for key, files in EVERY.items() for part in files]


@pytest.mark.parametrize(("key", "part"), CASES)
def test_damaged_files(key, part, tmp_path):
    rng = random.Random(f"{key} {part}")
    files = EVERY[key]
    outcomes = []
    for i, (name, data) in enumerate(damaged(files[part], rng)):
        folder = tmp_path / str(i)
        folder.mkdir()
        for other, content in files.items():
            (folder / other).write_bytes(data if other == part else content)
        path = folder / next(iter(files))
        like = LIKE.get(key, key) if name != "another" else None
        outcomes.append(attempt(path, like))
    assert len(outcomes) == 24
    assert "refused" in outcomes


@pytest.mark.parametrize("key", EVERY)
def test_files_under_another_formats_name(key, tmp_path):
    """Every file as every format: renamed, or read with the wrong --like."""
    data = next(iter(EVERY[key].values()))
    for name in FORMATS:
        path = tmp_path / f"renamed{FORMATS[name].suffixes[0]}"
        path.write_bytes(data)
        attempt(path, None)
        attempt(path, name)


def test_there_are_enough_cases():
    assert 24 * len(CASES) + 2 * len(EVERY) * len(list(FORMATS)) >= 300


@pytest.mark.data
@pytest.mark.skipif(not make.ARCHIVES.is_dir(), reason="needs ../shared/data")
def test_damaged_acknowledge_files(tmp_path):
    data = (make.unpacked("acq", tmp_path) / "r42_test.acq").read_bytes()
    for name, content in damaged(data, random.Random("acq")):
        path = tmp_path / "a.acq"
        path.write_bytes(content)
        assert attempt(path, "acq") in ("refused", "opened"), name
