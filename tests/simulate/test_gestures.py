"""Simulated gestures: determinism, events, and realism.

Realism ranges are those of real recordings in the same band (20-200 Hz at 500 Hz), with some room: GRABMyo forearm
(median frequency 72-121 Hz, zero crossings 0.34-0.48 per sample, 20-240 µV RMS), Myo armbands of LibEMG
(neighbours correlate 0.2-0.6, opposite electrodes 0.05-0.5, strongest channel 3-20 times the weakest).
"""

import numpy as np
import pytest
from attrs import evolve
from scipy import signal

from myoflow.errors import InputError
from myoflow.simulate.gestures import Gestures, recordings, simulate

SMALL = Gestures(subjects=3, sessions=2, repetitions=2)
SHORT = Gestures(subjects=2, sessions=2, repetitions=1, gestures=("fist", "rest"), hold_s=1.0, rest_s=0.5)


def same(a, b):
    return np.array_equal(a.emg, b.emg) and np.array_equal(a.events.onset, b.events.onset)


@pytest.fixture(scope="module")
def session():
    return simulate(SMALL, 2, 1)


@pytest.fixture(scope="module")
def emg():
    """Three subjects' filtered EMG in µV by gesture, holds only: name -> list of (channel, time)."""
    band = signal.butter(4, [20, 200], "bandpass", fs=500, output="sos")
    out = {}
    for subject in (1, 2, 3):
        recording = simulate(SMALL, subject)
        x = signal.sosfilt(band, recording.emg * recording.gain[:, None] * 1e6, axis=1)
        for hum in (50, 150):
            x = signal.lfilter(*signal.iirnotch(hum, 30, 500), x, axis=1)
        events = recording.events
        for name in events.names:
            held = [
                x[:, o + 350 : o + n - 100]
                for o, n, k in zip(events.onset, events.length, events.label, strict=True)
                if events.names[k] == name
            ]
            out.setdefault(name, []).append(np.concatenate(held, axis=1))
    return out


def active(emg):
    return [x for name, pieces in emg.items() if name != "rest" for x in pieces]


def test_same_numbers_same_recording_whatever_else_is_simulated():
    alone = simulate(SHORT, 2, 2)
    in_turn = list(recordings(SHORT))
    assert [r.id for r in in_turn] == [f"sub-0{s}/ses-0{k}/run-1" for s in (1, 2) for k in (1, 2)]
    assert same(alone, in_turn[3])
    assert same(alone, simulate(evolve(SHORT, subjects=40, sessions=9), 2, 2))


def test_seed_subject_and_session_each_change_the_signal():
    first = simulate(SHORT, 1, 1)
    for other in (simulate(evolve(SHORT, seed=1), 1, 1), simulate(SHORT, 2, 1), simulate(SHORT, 1, 2)):
        assert not np.array_equal(first.emg, other.emg)


def test_form(session):
    assert session.emg.dtype == np.int16 and session.emg.shape[0] == 8 == len(session.channels)
    assert session.gain.dtype == np.float32 and session.units == "V"
    assert (session.subject, session.session, session.rate_hz) == ("02", "01", 500.0)
    assert session.attrs["PowerLineFrequency"] == 50.0


def test_events_are_whole_ordered_and_complete(session):
    events = session.events
    assert events.names == SMALL.gestures
    assert np.all(events.length == round(SMALL.hold_s * 500))
    assert np.all(np.diff(events.onset) >= events.length[:-1])
    assert events.onset[0] >= 0 and events.onset[-1] + events.length[-1] <= session.emg.shape[1]
    for repetition in (1, 2):
        assert sorted(events.label[events.repetition == repetition]) == list(range(6))


def test_energy_lies_inside_the_gestures_it_is_labelled_with(emg):
    for subject in range(3):
        quiet = emg["rest"][subject].std(axis=1).max()
        for name in SMALL.gestures[1:]:
            assert emg[name][subject].std(axis=1).max() > 3 * quiet, name


def test_activity_begins_after_the_cue_and_stops_after_its_end():
    settings = Gestures(subjects=1, repetitions=2, gestures=("fist",), rest_s=2.0, effort=(0.6, 0.6))
    recording = simulate(settings, 1)
    x = signal.sosfilt(signal.butter(4, 20, "highpass", fs=500, output="sos"), recording.emg * 0.2, axis=1)
    for onset, length in zip(recording.events.onset, recording.events.length, strict=True):
        before, held = x[:, onset - 300 : onset], x[:, onset + 350 : onset + length]
        assert held.std() > 5 * before.std()


def test_amplitude_is_that_of_surface_emg(emg):
    strongest = [x.std(axis=1).max() for x in active(emg)]
    assert 40 < np.median(strongest) < 300 and max(strongest) < 1000  # µV RMS
    assert all(x.std(axis=1).min() > 1 and x.std(axis=1).max() < 15 for x in emg["rest"])
    assert 3 < np.median([x.std(axis=1).max() / x.std(axis=1).min() for x in active(emg)]) < 25


def test_spectrum_is_a_hump_between_60_and_120_hz_not_white_not_a_line(emg):
    medians, crossings, flatness, widest = [], [], [], []
    for x in active(emg):
        strong = x[np.argmax(x.std(axis=1))]
        f, power = signal.welch(strong, 500, nperseg=256)
        share = np.cumsum(power) / power.sum()
        medians.append(f[np.searchsorted(share, 0.5)])
        crossings.append(np.mean(np.diff(np.sign(strong)) != 0))
        inside = power[(f >= 25) & (f <= 190)]
        flatness.append(np.exp(np.log(inside).mean()) / inside.mean())  # white noise: above 0.9; a line: near 0
        widest.append(inside.max() / inside.sum())
    assert 60 < np.median(medians) < 120
    assert 0.3 < np.median(crossings) < 0.48
    assert 0.3 < np.median(flatness) < 0.85
    assert max(widest) < 0.15


def test_amplitudes_are_spikier_than_gaussian_noise(emg):
    kurtosis = [np.mean(x**4, axis=1) / np.mean(x**2, axis=1) ** 2 for x in active(emg)]
    assert 3.2 < np.median(kurtosis) < 8


def test_neighbours_share_more_than_opposite_electrodes(emg):
    near, far = [], []
    for x in active(emg):
        r = np.abs(np.corrcoef(x))
        near.append(np.mean([r[i, (i + 1) % 8] for i in range(8)]))
        far.append(np.mean([r[i, (i + 4) % 8] for i in range(8)]))
    assert 0.2 < np.median(near) < 0.65
    assert np.median(far) < 0.3 and np.median(near) > 2 * np.median(far)


@pytest.mark.parametrize("mains_hz", [50.0, 60.0])
def test_mains_hum_stands_out_at_rest(mains_hz):
    settings = Gestures(subjects=1, repetitions=1, gestures=("rest",), hold_s=20.0, mains_hz=mains_hz)
    recording = simulate(settings, 1)
    f, power = signal.welch(recording.emg * recording.gain[:, None], 500, nperseg=1000)
    power = power.mean(axis=0)
    around = (np.abs(f - mains_hz) > 3) & (np.abs(f - mains_hz) < 15)
    assert power[np.argmin(np.abs(f - mains_hz))] > 10 * np.median(power[around])


def test_counts_do_not_clip(session):
    assert np.mean(np.abs(session.emg.astype(int)) >= 32767) < 1e-4
    assert np.abs(session.emg.astype(int)).max() > 500  # and the range is used


def test_sessions_differ_by_how_the_band_sits():
    settings = Gestures(subjects=6, sessions=3, repetitions=1, gestures=("rest",), hold_s=0.5, rest_s=0.5)
    turn = np.array([r.attrs["BandRotationPitches"] for r in recordings(settings)]).reshape(6, 3)
    assert np.abs(turn).max() <= 0.5
    assert np.all(np.ptp(turn, axis=1) > 0.01)
    assert turn.std() > 0.1


def test_turning_the_band_by_one_pitch_moves_the_pattern_by_one_electrode():
    """With nothing else changed: `rotation` scales one and the same draw."""
    settings = Gestures(subjects=1, repetitions=1, gestures=("ulnar",), rotation=0.0, effort=(0.6, 0.6))
    unit = simulate(evolve(settings, rotation=1.0), 1).attrs["BandRotationPitches"]
    band = signal.butter(4, 20, "highpass", fs=500, output="sos")

    def pattern(rotation):
        level = signal.sosfilt(band, simulate(evolve(settings, rotation=rotation), 1).emg, axis=1).std(axis=1)
        return np.log(level)

    still, turned = pattern(0.0), pattern(1.0 / abs(unit))
    moved = np.roll(turned, 1 if unit > 0 else -1)
    assert np.corrcoef(still, moved)[0, 1] > 0.9 > np.corrcoef(still, turned)[0, 1]


def test_rate_and_units_may_be_written():
    settings = Gestures(rate_hz="1 kHz", hold_s="600 ms", subjects=1, repetitions=1)  # type: ignore[arg-type]
    assert simulate(settings, 1).rate_hz == 1000.0
    assert np.all(simulate(settings, 1).events.length == 600)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("subjects", 0, "subjects must be at least 1, got 0"),
        ("sessions", 0, "sessions must be at least 1"),
        ("repetitions", -1, "repetitions must be at least 1"),
        ("gestures", ("fist", "extention"), "unknown gesture 'extention'; did you mean 'extension'"),
        ("gestures", ("fist", "fist"), "each once"),
        ("gestures", (), "at least one gesture"),
        ("rate_hz", 50.0, "between 200 and 10000 Hz, got 50"),
        ("hold_s", 0.1, "hold_s must be at least 0.5 s"),
        ("rest_s", -1.0, "rest_s must not be negative"),
        ("seed", -1, "seed must not be negative"),
        ("effort", (0.8, 0.2), "0 < low <= high <= 1"),
        ("mains_hz", 300.0, "below 250 Hz"),
    ],
)
def test_settings_that_make_no_sense_are_refused(field, value, says):
    with pytest.raises(InputError, match=says):
        Gestures(**{field: value})


@pytest.mark.parametrize(("subject", "session"), [(0, 1), (3, 1), (1, 3), (1, 0)])
def test_subjects_and_sessions_outside_the_settings_are_refused(subject, session):
    with pytest.raises(InputError, match=r"the settings have 1\.\.2"):
        simulate(SHORT, subject, session)
