from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from PIL import Image

from myoflow.errors import InputError
from myoflow.report.gestures import Timeline
from myoflow.report.picture import _busiest, draw_picture


def test_the_picture_is_wide_and_repeatable(tmp_path: Path, line: Timeline) -> None:
    first = draw_picture(line, tmp_path / "a.png").read_bytes()
    assert draw_picture(line, tmp_path / "b.png").read_bytes() == first
    with Image.open(tmp_path / "a.png") as image:
        assert image.size[0] >= 1800 and image.size[0] > 2 * image.size[1]
        colors = {color for _, color in image.convert("RGB").getcolors(1 << 20) or ()}
    assert {(238, 136, 102), (255, 255, 255)} <= colors  # the field of `fist`, the ground


def test_svg_too(tmp_path: Path, line: Timeline) -> None:
    first = draw_picture(line, tmp_path / "a.svg", start_s=2.0, length_s=5.0).read_text()
    assert "<svg" in first and draw_picture(line, tmp_path / "a.svg", start_s=2.0, length_s=5.0).read_text() == first


def test_it_starts_shortly_before_the_busiest_stretch(line: Timeline) -> None:
    line = attrs.evolve(line, spans=((1.0, 2.0, 0), (12.0, 13.0, 1), (14.0, 15.0, 0), (16.0, 17.0, 2)))
    assert _busiest(line, 8.0) == 11.5
    assert _busiest(line, 29.0) == pytest.approx(0.5)


def test_without_a_signal_there_is_no_picture(tmp_path: Path, line: Timeline) -> None:
    bare = attrs.evolve(line, signal=None)
    with pytest.raises(InputError, match="timeline that has a signal"):
        draw_picture(bare, tmp_path / "a.png")
