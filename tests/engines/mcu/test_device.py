"""Device: the C code's filters, windows and scaling on a live signal give the reference's integers, at any cut."""

import numpy as np
import pytest
from engines.mcu.test_front import PIPELINES, WINDOW, made, signal

from myoflow.engines.mcu import lanes
from myoflow.engines.mcu.device import Device
from myoflow.errors import MyoflowError

pytestmark = pytest.mark.skipif(lanes.missing("host") is not None, reason=str(lanes.missing("host")))


@pytest.mark.parametrize("text", PIPELINES.values(), ids=PIPELINES)
def test_any_cut_of_the_signal_gives_the_references_windows(text: str) -> None:
    step = 0.5 if text == WINDOW else 0.05
    stage, _ = made(text, step)
    wanted = stage.run(stage.integers(signal())).astype(np.float32) * np.float32(step)
    device = Device(stage, step)
    for cuts in ([], [1, 2, 99, 100, 101, 333], list(range(40, 400, 40))):
        pieces = [device.feed(piece) for piece in np.split(signal(), cuts, axis=1)]
        assert np.array_equal(np.concatenate([*pieces, device.flush()]), wanted)
        device.begin()  # the past is forgotten


def test_two_devices_do_not_share_their_past() -> None:
    stage, _ = made(PIPELINES["low cut, one scale"])
    one, two = Device(stage, 0.05), Device(stage, 0.05)
    one.feed(signal()[:, :150])
    assert np.array_equal(two.feed(signal()), Device(stage, 0.05).feed(signal()))


def test_a_sample_that_is_not_finite_is_told() -> None:
    stage, _ = made(WINDOW, 0.5)
    x = signal()
    x[1, 7] = np.nan
    with pytest.raises(MyoflowError, match=r"not finite.*quality stage"):
        Device(stage, 0.5).feed(x)
