"""Frames: any cut gives the same samples, and damage costs the damaged frame, never a wrong number."""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoflow.live import frames

RNG = np.random.default_rng(0)
SENT = [RNG.integers(-3000, 3000, (4, n)).astype(np.int16) for n in (1, 40, 7, 120, 40)]
FIRST = [0, 1, 41, 48, 168]
WIRE = b"".join(
    [
        frames.description(["E1", "E2", "E3", "E4"], 1000, "uV", 0.195),
        *(frames.samples(x, first, first / 1000) for x, first in zip(SENT, FIRST, strict=True)),
        frames.end(),
    ]
)


def test_the_layout_is_what_the_page_says() -> None:
    """A frame made by hand, as a device would."""
    values = struct.pack("<6h", 1, 10, 2, 20, 3, 30)  # three samples of two channels
    header = b"\xa5\x5a" + bytes([1, 1]) + struct.pack("<HHQqI", 2, 3, 99, 1_500_000, len(values))
    wire = header + struct.pack("<I", zlib.crc32(header)) + values + struct.pack("<I", zlib.crc32(values))
    (frame,) = frames.Unpacker().feed(wire)
    assert frame.first == 99 and frame.stamp_s == 1.5
    assert frame.values is not None and frame.values.tolist() == [[1, 2, 3], [10, 20, 30]]
    assert frames.samples(np.array([[1, 2, 3], [10, 20, 30]], np.int16), 99, 1.5) == wire


@settings(max_examples=100)
@given(cuts=st.lists(st.integers(0, len(WIRE)), max_size=30))
def test_any_cut_gives_the_same(cuts: list[int]) -> None:
    unpacker = frames.Unpacker()
    edges = [0, *sorted(cuts), len(WIRE)]
    found = [f for a, b in pairwise(edges) for f in unpacker.feed(WIRE[a:b])]
    assert found[0].told == {"channels": ["E1", "E2", "E3", "E4"], "rate": 1000, "units": "uV", "gain": 0.195}
    assert found[-1].kind == frames.END and unpacker.damaged == 0
    for frame, x, first in zip(found[1:-1], SENT, FIRST, strict=True):
        assert frame.first == first and frame.values is not None and np.array_equal(frame.values, x)


@settings(max_examples=200)
@given(data=st.data())
def test_damage_never_makes_a_wrong_sample(data: st.DataObject) -> None:
    wire = bytearray(WIRE)
    for _ in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from(["flip", "cut", "insert"]))
        at = data.draw(st.integers(0, len(wire) - 1))
        if kind == "flip":
            wire[at] ^= data.draw(st.integers(1, 255))
        elif kind == "cut":
            del wire[at : at + data.draw(st.integers(1, 50))]
        else:
            wire[at:at] = data.draw(st.binary(max_size=50))
        if not wire:
            return
    unpacker = frames.Unpacker()
    sent = dict(zip(FIRST, SENT, strict=True))
    whole = [f for f in unpacker.feed(bytes(wire) + frames.samples(SENT[0], 10**6)) if f.values is not None]
    for frame in whole[:-1]:
        assert frame.values is not None and np.array_equal(frame.values, sent[frame.first])
    assert whole[-1].first == 10**6, "what comes after the damage is understood again"


def test_float_and_int32_go_through_and_others_are_refused() -> None:
    for dtype in (np.float32, np.int32):
        x = RNG.normal(scale=100, size=(3, 5)).astype(dtype)
        (frame,) = frames.Unpacker().feed(frames.samples(x, 2**40))
        assert frame.values is not None and frame.values.dtype == dtype and np.array_equal(frame.values, x)
        assert frame.stamp_s is None and frame.first == 2**40
    with pytest.raises(ValueError, match="int16, int32 or float32"):
        frames.samples(np.zeros((2, 2)), 0)
