"""Motor units against the numbers their formulas promise."""

import numpy as np
import pytest

from myoflow.errors import InputError
from myoflow.simulate import motor_units as mu


def test_pool_spans_the_stated_ranges():
    motor = mu.pool(60, last_threshold=0.7, recruitment_range=30, sizes=20)
    assert motor.threshold[-1] == pytest.approx(0.7)
    assert motor.threshold[-1] / motor.threshold[0] == pytest.approx(30)
    assert motor.size[-1] == 1 and motor.size[0] == pytest.approx(1 / 20)
    assert np.all(np.diff(motor.threshold) > 0) and np.all(np.diff(motor.peak_hz) < 0)


def test_a_pool_of_one_is_refused():
    with pytest.raises(InputError, match="at least 2 units, got 1"):
        mu.pool(1)


def test_units_start_at_8_hz_and_small_ones_fire_faster():
    motor = mu.pool()
    k = 30
    at = motor.threshold[k]
    rates = mu.firing_rates(motor, np.array([at - 1e-3, at + 1e-3, 1.0]))
    assert rates[k, 0] == 0
    assert rates[k, 1] == pytest.approx(8.0, abs=0.1)
    assert np.all(np.diff(rates[:, 2]) <= 0)  # onion skin: later units never overtake earlier ones
    assert rates[0, 2] == pytest.approx(motor.peak_hz[0])


def test_spikes_keep_the_rate_and_the_irregularity():
    motor = mu.pool(10)
    unit, time = mu.spikes(motor, np.full(20_000, 0.9), 100.0, np.random.default_rng(0))
    rate = mu.firing_rates(motor, np.array([0.9]))[:, 0]
    for k in range(10):
        gaps = np.diff(time[unit == k])
        assert np.all(gaps > 0)
        assert 1 / gaps.mean() == pytest.approx(rate[k], rel=0.02)
        assert gaps.std() / gaps.mean() == pytest.approx(0.2, rel=0.1)


def test_no_spike_outside_the_burst():
    drive = np.zeros(1000)
    drive[400:600] = 0.5
    _, time = mu.spikes(mu.pool(), drive, 100.0, np.random.default_rng(1))
    assert len(time) > 100
    assert time.min() >= 4.0 and time.max() <= 6.0


def test_no_drive_gives_no_spike():
    unit, time = mu.spikes(mu.pool(), np.zeros(500), 100.0, np.random.default_rng(0))
    assert len(unit) == len(time) == 0


def test_impulses_carry_the_units_sizes_to_their_group_and_place():
    motor = mu.pool(4)
    trains = mu.impulse_trains(
        motor, np.array([0, 3]), np.array([0.0105, 0.020]), np.array([0, 0, 1, 1]), 2, samples=50, rate_hz=1000.0
    )
    assert trains.shape == (2, 50)
    assert trains[0, 10] == pytest.approx(motor.size[0] / 2, rel=1e-5) and trains[0, 11] == trains[0, 10]
    assert trains[1, 20] == pytest.approx(1.0)
    assert trains.sum() == pytest.approx(motor.size[0] + 1.0)


@pytest.mark.parametrize("phase", [0.0, 0.7, np.pi / 2])
def test_muap_has_unit_energy_and_the_even_part_peaks_where_it_should(phase):
    wave = mu.muap(2e-3, phase, 10_000.0)
    assert np.sum(wave**2) == pytest.approx(1.0, rel=1e-3)
    if phase == 0:
        spectrum = np.abs(np.fft.rfft(wave, 1 << 16))
        peak = np.fft.rfftfreq(1 << 16, 1e-4)[spectrum.argmax()]
        assert peak == pytest.approx(np.sqrt(2) / (2 * np.pi * 2e-3), rel=0.01)
        assert abs(wave.sum()) < 1e-4 * np.abs(wave).sum()  # no net charge


def test_far_fibres_are_weaker_and_wider():
    distance = np.array([0.5, 1.0, 2.0, 4.0])
    assert np.all(np.diff(mu.transfer(distance)) < 0)
    assert mu.transfer(np.array(8.0)) / mu.transfer(np.array(4.0)) == pytest.approx(2**-2.4, rel=0.01)
    assert np.all(np.diff(mu.width(distance)) > 0)


def test_potentials_are_a_plain_sum_of_muaps():
    """Against direct convolution, with widths that lie on kernels, where the blend is exact."""
    rng = np.random.default_rng(2)
    trains = (rng.random((2, 400)) < 0.02).astype(np.float32)
    gain = np.array([[1.0, 0.5], [0.2, 2.0]])
    width_s = 1.6e-3 * np.array([[1.0, mu.WIDTH_STEP], [mu.WIDTH_STEP**2, 1.0]])
    phase = np.array([0.3, -0.8])
    got = mu.potentials(trains, gain, width_s, phase, 1000.0)
    for e in range(2):
        want = np.zeros(400)
        for g in range(2):
            wave = mu.muap(width_s[e, g], phase[g], 1000.0)
            want += gain[e, g] * np.convolve(trains[g], wave)[len(wave) // 2 :][:400]
        np.testing.assert_allclose(got[e], want, atol=2e-5)


def test_blended_widths_stay_close_to_the_true_muap():
    trains = np.zeros((1, 200), np.float32)
    trains[0, 100] = 1
    widths = np.array([[1.6e-3], [1.6e-3 * mu.WIDTH_STEP**1.5]])
    got = mu.potentials(trains, np.ones((2, 1)), widths, np.zeros(1), 1000.0)[1]
    wave = mu.muap(float(widths[1, 0]), 0.0, 1000.0)
    true = np.zeros(200)
    true[100 - len(wave) // 2 : 101 + len(wave) // 2] = wave
    assert np.corrcoef(got, true)[0, 1] > 0.99
