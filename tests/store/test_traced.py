"""Windows with another stream beside them: aligned by time, left out where that stream is unknown."""

from __future__ import annotations

import numpy as np
import pytest

from myoflow.data.cut import cut_along, parts
from myoflow.prepared import Prepared
from myoflow.spec import Spec
from myoflow.stages.window import Window
from myoflow.store.traced import Traced

RATE, SLOW = 200.0, 20.0


def signal(seconds: float = 10.0, **events: object) -> Prepared:
    """EMG that counts its samples, and a target that tells its own time."""
    time = np.arange(int(seconds * RATE), dtype=np.float32)
    fields = {"onset": [0, 400], "length": [400, 800], "label": [0, 1], "repetition": [1, 2], **events}
    columns = {name: np.asarray(value, np.int64) for name, value in fields.items()}
    return Prepared(
        id="sub-01/ses-01/run-1", subject="01", session="01", subset="", values=time[None], **columns,
        target=(np.arange(int(seconds * SLOW)) / SLOW)[None].astype(np.float32),
    )  # fmt: skip


def traced(one: Prepared, whole: bool = True, length: str = "500 ms", stride: str = "75 ms") -> Traced:
    windows = cut_along([one], Window(length=length, stride=stride), Spec.signal(1, RATE), training=False, whole=whole)
    assert one.target is not None
    return Traced.of(windows, (one.target,), SLOW, 10)


def test_targets_begin_with_their_window() -> None:
    found = traced(signal())
    x, y = next(found.batches(1000))
    assert x.shape[1:] == (1, 100) and y.shape[1:] == (10, 1)
    began = x[:, 0, 0] / RATE
    assert (y[:, 0, 0] >= began - 1e-6).all() and (y[:, 0, 0] < began + 1 / SLOW).all()
    np.testing.assert_allclose(np.diff(y[:, :, 0], axis=1), 1 / SLOW, atol=1e-5)


def test_windows_run_on_through_labels_but_not_into_another_repetition_or_a_gap() -> None:
    on, apart = traced(signal(), whole=True), traced(signal(), whole=False)
    borders = (on.start < 400) & (on.start + 100 > 400)
    assert borders.any() and not ((apart.start < 400) & (apart.start + 100 > 400)).any()
    assert set(apart.repetition.tolist()) == {1, 2}
    assert on.start.max() + 100 <= 1200, "nothing behind the last event"
    gap = traced(signal(onset=[0, 500], length=[400, 700]), whole=True)
    assert not ((gap.start < 500) & (gap.start + 100 > 400)).any()


def test_a_recording_without_events_is_one_stretch() -> None:
    found = traced(signal(onset=[], length=[], label=[], repetition=[]))
    assert found.start[0] == 0 and found.start[-1] + 100 > 1980


def test_windows_that_touch_an_unknown_target_are_left_out() -> None:
    one = signal()
    assert one.target is not None
    one.target[0, 33] = np.nan  # at 1.65 s
    every, found = traced(signal()), traced(one)
    lost = sorted(set(every.start.tolist()) - set(found.start.tolist()))
    assert lost and all(start / RATE <= 1.65 < start / RATE + 0.55 for start in lost)
    assert np.isfinite(found.truth(np.arange(len(found)))).all()


def test_parts_keep_targets() -> None:
    one = signal()
    found = traced(one, whole=False)
    train, valid, test = parts({True: found, False: found}, [one], (("1",), (), ("2",)), "repetition")
    assert len(train) and len(test) and not len(valid)
    assert (test.truth(np.arange(len(test))) >= 2.0).all(), "repetition 2 begins at 2 s"


def test_spread_is_that_of_all_targets() -> None:
    found = traced(signal())
    mean, spread = found.spread()
    values = found.truth(np.arange(len(found)))
    assert mean[0] == pytest.approx(values.mean(), rel=1e-6) and spread[0] == pytest.approx(values.std(), rel=1e-5)
