"""Simulated kinematics: determinism, physics of the joints, and angles that follow from the EMG before them."""

from __future__ import annotations

import numpy as np
import pytest
from attrs import evolve
from scipy import signal

from myoflow.errors import InputError
from myoflow.recording import Recording
from myoflow.simulate.kinematics import DEGREES, JOINT_HZ, MOVEMENTS, STEP_HZ, Kinematics, joint_angles, simulate

SMALL = Kinematics(subjects=2, sessions=2, repetitions=1)


@pytest.fixture(scope="module")
def session() -> Recording:
    return simulate(SMALL, 1, 1)


def test_the_same_numbers_give_the_same_recording_and_others_another(session: Recording) -> None:
    again = simulate(evolve(SMALL, subjects=9, sessions=5), 1, 1)
    np.testing.assert_array_equal(session.emg, again.emg)
    np.testing.assert_array_equal(session.streams["kinematics"].values, again.streams["kinematics"].values)
    for other in (simulate(SMALL, 2, 1), simulate(SMALL, 1, 2)):
        shorter = min(other.emg.shape[1], session.emg.shape[1])
        assert not np.array_equal(other.emg[:, :shorter], session.emg[:, :shorter])


def test_events_are_movements_with_the_rest_before_each(session: Recording) -> None:
    events = session.events
    assert events.names == ("rest", *MOVEMENTS)
    assert (events.label[::2] == 0).all() and sorted(events.label[1::2]) == list(range(1, len(MOVEMENTS) + 1))
    assert (events.onset[1:] == events.onset[:-1] + events.length[:-1]).all(), "they follow each other at once"
    assert events.onset[-1] + events.length[-1] < session.emg.shape[1]


def test_angles_stay_in_their_ranges_and_move_where_the_movement_says(session: Recording) -> None:
    stream, events = session.streams["kinematics"], session.events
    assert stream.channels == tuple(DEGREES) and stream.units == "deg" and stream.rate_hz == 100.0
    assert stream.values.shape[1] == pytest.approx(session.emg.shape[1] / session.rate_hz * 100, abs=1)
    for row, limit in zip(stream.values, DEGREES.values(), strict=True):
        assert -0.5 * limit < row.min() and 0.3 * limit < row.max() < 1.4 * limit
    scale = stream.rate_hz / session.rate_hz
    for onset, length, label in zip(events.onset, events.length, events.label, strict=True):
        if label:
            piece = stream.values[:, int(onset * scale) : int((onset + length) * scale)]
            reach = np.ptp(piece, axis=1) / np.array(list(DEGREES.values()))
            taking_part = MOVEMENTS[events.names[label]]
            most = list(DEGREES)[int(reach.argmax())]
            assert most in taking_part, (events.names[label], reach)


def test_a_joint_settles_where_its_muscles_hold_it_and_not_at_once() -> None:
    excitation = np.zeros((2, len(DEGREES), 2000))
    excitation[0, :, 200:] = 0.5
    found = joint_angles(excitation, np.full(5, JOINT_HZ), np.ones(5))
    np.testing.assert_allclose(found[:, -1], 0.5 * np.array(list(DEGREES.values())), rtol=1e-3)
    assert not found[:, :200].any()
    half = np.argmax(found[0] > 0.25 * DEGREES["thumb_rotation"]) - 200
    assert 0.05 * STEP_HZ < half < 0.2 * STEP_HZ, "half of the way after about a tenth of a second"
    excitation[1] = excitation[0]
    assert not joint_angles(excitation, np.full(5, JOINT_HZ), np.ones(5)).any(), "co-contraction moves nothing"


def test_angles_follow_from_emg_that_came_before_them() -> None:
    recording = simulate(evolve(SMALL, repetitions=2), 1, 1)
    emg = recording.emg * recording.gain[:, None] * 1e6
    assert emg.std(axis=1).min() > 10 and emg.std(axis=1).max() < 400, "microvolts, as on a real forearm"
    band = signal.butter(4, [20, 200], "bandpass", fs=500, output="sos")
    level = np.abs(signal.sosfilt(band, emg, axis=1))
    level = signal.lfilter(np.ones(50) / 50, 1, level, axis=1)[:, ::5]
    truth = recording.streams["kinematics"].values
    count = min(level.shape[1], truth.shape[1])
    x, y = np.vstack([np.log(level[:, 100:count]), np.ones(count - 100)]).T, truth[:, 100:count].T

    def explained(late: int) -> float:
        a, b = (x[: len(x) - late], y[late:]) if late >= 0 else (x[-late:], y[:late])
        error = b - a @ np.linalg.lstsq(a, b, rcond=None)[0]
        return float(np.mean(1 - (error**2).sum(0) / ((b - b.mean(0)) ** 2).sum(0)))

    by_lag = {late: explained(late) for late in (-20, 5, 40)}  # samples of 10 ms
    assert by_lag[5] > 0.6 and by_lag[5] > by_lag[-20] + 0.2 and by_lag[5] > by_lag[40] + 0.1, by_lag


def test_wrong_settings_are_refused() -> None:
    for change, message in (
        ({"subjects": 0}, "subjects must be at least 1"),
        ({"rate_hz": 100.0}, "rate_hz must lie between"),
        ({"amplitude": (0.9, 0.2)}, "amplitude must be two shares"),
        ({"angle_hz": 0.0}, "angle_hz must be above 0"),
    ):
        with pytest.raises(InputError, match=message):
            evolve(SMALL, **change)
    with pytest.raises(InputError, match=r"no session 3; the settings have 1\.\.2"):
        simulate(SMALL, 1, 3)
