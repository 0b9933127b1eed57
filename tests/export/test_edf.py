"""edf: what is written is read back by edfio, pyedflib and our own reader."""

from __future__ import annotations

import numpy as np
import pytest

from myoflow.errors import MyoflowError
from myoflow.export.edf import write_edf
from myoflow.formats import open_file


def write(folder, values, gain=1e-6, units="V", rate=2000.0):
    count = len(values)
    return write_edf(
        folder / "a", values, np.full(count, gain, np.float32), units, rate, tuple(f"EMG{i}" for i in range(count))
    )


@pytest.mark.parametrize("samples", [1, 1000, 4001, 7919])
@pytest.mark.parametrize(
    ("most", "kind", "ending"), [(100, "i1", ".edf"), (30000, "i2", ".edf"), (8000000, "i4", ".bdf")]
)
def test_counts_come_back_as_they_were(tmp_path, samples, most, kind, ending):
    rng = np.random.default_rng(samples)
    values = rng.integers(-most, most, (3, samples), endpoint=True).astype(kind)
    values[0, 0] = -most
    done = write(tmp_path, values, gain=3.0518e-7)
    assert done.path.suffix == ending and not done.rounded
    signals = open_file(done.path)
    assert signals.rate_hz == 2000 and signals.values.dtype.kind == "i"
    np.testing.assert_array_equal(signals.values[:, :samples], values)
    assert signals.samples == samples + done.padding and done.padding < 10
    np.testing.assert_allclose(signals.gain * 1e-6, np.float32(3.0518e-7), rtol=max(1e-2 / most, 1e-8))


@pytest.mark.parametrize("most", [32767, 8388607])
def test_a_channel_that_uses_its_whole_range(tmp_path, most):
    values = np.array([[most, 1, -most, 0]], np.int32)
    signals = open_file(write(tmp_path, values, gain=3.0518e-7).path)
    np.testing.assert_array_equal(signals.values, values)
    np.testing.assert_allclose(signals.gain * 1e-6, np.float32(3.0518e-7), rtol=5e-6 if most < 40_000 else 1e-6)


def test_the_least_of_16_bits_wants_24(tmp_path):
    assert write(tmp_path, np.array([[-32768, 5]], np.int16)).path.suffix == ".bdf"


@pytest.mark.parametrize("rate", [200.0, 1000.0, 1111.111, 2148.1481481481483, 1925.925925925926, 1024.0])
def test_odd_rates_stay_true(tmp_path, rate):
    done = write(tmp_path, np.zeros((2, 50_021), np.int16) + np.int16(3), rate=rate)
    assert open_file(done.path).rate_hz == pytest.approx(rate, rel=1e-6)
    assert done.padding < 100


@pytest.mark.parametrize("scale", [1e-7, 1e-4, 0.5])
def test_floats_are_within_a_quantum(tmp_path, scale):
    values = (np.random.default_rng(0).normal(size=(2, 3000)) * scale).astype(np.float32)
    done = write(tmp_path, values, gain=1.0)
    volts = {"V": 1, "mV": 1e-3, "uV": 1e-6, "nV": 1e-9}[done.units]
    assert done.rounded and done.path.suffix == ".bdf"
    error = np.abs(open_file(done.path).physical() * volts - values).max(axis=1)
    assert (error <= 0.51 * np.array(done.quantum) * volts).all()
    assert max(done.quantum) * volts < np.abs(values).max() / 4e6


@pytest.mark.parametrize("kind", ["i2", "i4"])
def test_edfio_and_pyedflib_read_the_same(tmp_path, kind):
    edfio, pyedflib = pytest.importorskip("edfio"), pytest.importorskip("pyedflib")
    values = np.random.default_rng(1).integers(-30_000, 30_000, (3, 5000)).astype(kind)
    values[0, 0] = 30_000 if kind == "i2" else 4_000_000
    done = write(tmp_path, values, gain=2e-7)
    with pyedflib.EdfReader(str(done.path)) as other:
        assert other.getSignalLabels() == ["EMG0", "EMG1", "EMG2"] and other.getSampleFrequency(0) == 2000
        for i in range(3):
            np.testing.assert_array_equal(other.readSignal(i, digital=True), values[i])
            np.testing.assert_allclose(other.readSignal(i), values[i] * 0.2, rtol=1e-6)
    read = edfio.read_edf if kind == "i2" else edfio.read_bdf
    for signal, row in zip(read(done.path).signals, values, strict=True):
        np.testing.assert_array_equal(signal.digital, row)
        assert signal.physical_dimension == "uV"


def test_names_that_a_header_cannot_hold(tmp_path):
    names = ("Ü" * 20, "flexor carpi radialis 1", "flexor carpi radialis 2", "Status")
    done = write_edf(tmp_path / "a", np.ones((4, 9), np.int16), np.ones(4, np.float32), "V", 100.0, names)
    assert open_file(done.path).channels == ("_" * 16, "flexor carpi r_2", "flexor carpi r_3", "_4")


def test_what_does_not_fit_is_told(tmp_path):
    with pytest.raises(MyoflowError, match="a: has no samples"):
        write(tmp_path, np.empty((1, 0), np.int16))
    with pytest.raises(MyoflowError, match="channel 'EMG1' has NaN"):
        write(tmp_path, np.array([[1, 2], [1, np.nan]], np.float32))
    with pytest.raises(MyoflowError, match="range of a channel does not fit"):
        write(tmp_path, np.array([[1e12, 2]], np.float32), gain=1.0, units="counts")
