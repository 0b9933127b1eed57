"""Small recordings for store tests: every array a store knows, with known content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import numpy as np

from myoflow.recording import Events, Recording, Stream
from myoflow.store.layout import Origin

ORIGIN = Origin("toy", "toy_reader", "1")
NAMES = ("unmarked", "rest", "fist")


def events(*spans: tuple[int, int, int, int]) -> Events:
    """Events from (onset, length, label, repetition)."""
    columns = np.array(spans, np.int64).reshape(-1, 4).T
    return Events(columns[0], columns[1], columns[2].astype(np.int16), columns[3].astype(np.int16), NAMES)


def recording(
    subject: str = "01", session: str = "01", *, samples: int = 20_000, seed: int = 0, **changes: Any
) -> Recording:
    """An int16 recording of three channels with two events."""
    rng = np.random.default_rng([seed, int(subject), int(session)])
    made = Recording(
        subject=subject,
        session=session,
        run="1",
        emg=rng.integers(-300, 300, (3, samples)).astype(np.int16),
        gain=np.array([1e-6, 2e-6, 0.5e-6], np.float32),
        rate_hz=1000.0,
        channels=("flexor", "extensor", "Ü3"),
        events=events((samples // 10, samples // 5, 1, 1), (samples // 2, samples // 4, 2, 1)),
        attrs={"PowerLineFrequency": 50.0, "EMGReference": "elbow"},
        sources=(("01/a.txt", "ab" * 32),),
        repairs=("line 3 mended",),
    )
    return attrs.evolve(made, **changes)


def full() -> Recording:
    """One with an uneven clock and a second stream."""
    rng = np.random.default_rng(5)
    clock = np.cumsum(rng.integers(0, 4, 20_000)).astype(np.int32)
    glove = Stream(rng.normal(size=(2, 500)).astype(np.float32), 25.0, "deg", ("thumb", "index"))
    return recording(timestamp_ms=clock, streams={"glove": glove})


def same(a: Recording, b: Recording) -> None:
    """Assert that nothing differs but what the store adds to the attributes."""
    for field in attrs.fields(Recording):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if field.name == "events":
            assert x.names == y.names
            for column in ("onset", "length", "label", "repetition"):
                left, right = getattr(x, column), getattr(y, column)
                np.testing.assert_array_equal(left, right)
                assert left.dtype == right.dtype
        elif field.name == "streams":
            assert x.keys() == y.keys()
            for name in x:
                np.testing.assert_array_equal(x[name].values, y[name].values)
                assert (x[name].rate_hz, x[name].units, x[name].channels) == (
                    y[name].rate_hz,
                    y[name].units,
                    y[name].channels,
                )
        elif field.name == "attrs":
            assert x.items() <= y.items()
        elif isinstance(x, np.ndarray):
            np.testing.assert_array_equal(x, y)
            assert x.dtype == y.dtype
        else:
            assert x == y, field.name


def tree(path: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}
