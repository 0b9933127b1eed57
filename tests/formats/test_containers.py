"""npy, mat and hdf5: arrays by name, the rate beside them, what cannot be read."""

from __future__ import annotations

import make_formats as make
import numpy as np
import pytest

from myoflow.errors import InputError
from myoflow.formats import open_file

real = pytest.mark.skipif(not make.ARCHIVES.is_dir(), reason="needs ../shared/data")


def put(folder, name, data):
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("key", ["npz", "mat", "hdf5"])
def test_the_emg_and_its_rate_are_found(tmp_path, key):
    (name, data), *_ = make.every()[key].items()
    signals = open_file(put(tmp_path, name, data))
    assert signals.rate_hz == 1000 and signals.channels == ("emg1", "emg2")
    np.testing.assert_array_equal(signals.values, make.COUNTS)


@pytest.mark.parametrize(
    "values", [make.COUNTS, make.COUNTS.T, np.asfortranarray(make.COUNTS), make.COUNTS.astype(">i4")]
)
def test_npy_in_every_order(tmp_path, values):
    signals = open_file(put(tmp_path, "a.npy", make.npy(values)))
    np.testing.assert_array_equal(signals.values, make.COUNTS)
    assert signals.rate_hz is None


def test_another_table_by_name(tmp_path):
    pytest.importorskip("h5py")
    path = put(tmp_path, "a.h5", make.hdf5())
    assert open_file(path, variable="/run/glove").values.shape == (3, 180)
    with pytest.raises(InputError, match=r"has no table 'run/leg'; it has run/emg, run/glove"):
        open_file(path, variable="run/leg")


def test_what_is_wrong_is_told(tmp_path):
    with pytest.raises(InputError, match=r"a\.npy: .*720 bytes of numbers are promised, 710 are there"):
        open_file(put(tmp_path, "a.npy", make.npy()[:-10]))
    with pytest.raises(InputError, match="Python objects, which could run code"):
        open_file(put(tmp_path, "a.npy", make.npy(np.array([{}], object))))
    with pytest.raises(InputError, match=r"a\.npz: has no table of numbers; it holds words"):
        np.savez(tmp_path / "a.npz", words=np.array(["a", "b"]))
        open_file(tmp_path / "a.npz")
    with pytest.raises(InputError, match=r"a\.npz: \S+\.npy claims more bytes"):
        open_file(put(tmp_path, "a.npz", make.bomb()))


@real
@pytest.mark.data
def test_columns_of_a_compound_table(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = make.unpacked("emg2pose_hdf5", tmp_path) / "test_data.hdf5"
    signals = open_file(path)
    with h5py.File(path) as file:
        rows = file["emg2pose/timeseries"][()]
    assert signals.rate_hz == 2000 and signals.streams["joint_angles"].values.shape == (20, 100)
    np.testing.assert_array_equal(signals.values.T, rows["emg"].astype(np.float32))


@real
@pytest.mark.data
def test_the_real_text_files(tmp_path):
    facial = open_file(make.unpacked("csv_facial", tmp_path) / "emgflow_sample_data_01.csv")
    assert facial.channels == ("EMG_zyg", "EMG_cor") and facial.rate_hz == 2000 and facial.samples == 20000
    np.testing.assert_allclose(facial.values[:, 0], [-0.145568848, -0.097045898], rtol=1e-7)
    folder = make.unpacked("emg_angles", tmp_path)
    emg, angles = open_file(folder / "acq-1" / "emg-0.csv"), open_file(folder / "Hand_angles_record_1.csv")
    assert emg.rate_hz is None and emg.values.shape == (1, 87400) and emg.values[0, :3].tolist() == [845, 872, 890]
    assert emg.time_s is not None and 2000 < 87399 / emg.time_s[-1] < 3000
    assert angles.values.shape == (3, 443)


@real
@pytest.mark.data
def test_metadata_alone_is_no_recording(tmp_path):
    path = next(make.unpacked("gaddy_info_json", tmp_path).rglob("*_info.json"))
    with pytest.raises(InputError, match=r"no format reads '\.json' files"):
        open_file(path)
