"""The command line for a laboratory's own files: `convert --like`, `new dataset`, `list formats`."""

from __future__ import annotations

import make_formats as make
import pytest
from typer.testing import CliRunner

from myoflow.cli import app
from myoflow.errors import InputError
from myoflow.store import open_store


def call(*words: object):
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def test_one_file_without_a_card(tmp_path):
    (tmp_path / "a.csv").write_bytes(make.csv())
    done = call("convert", "--like", "csv", tmp_path / "a.csv", tmp_path / "a.zarr", "--channels", "EMG 2")
    assert "1 recordings written" in done.stdout
    (row,) = open_store(tmp_path / "a.zarr").rows
    assert (tuple(row.channels), row.samples, row.rate_hz) == (("EMG 2",), 180, 1000)


def test_a_rate_that_the_file_does_not_say(tmp_path):
    (tmp_path / "a.npy").write_bytes(make.npy())
    with pytest.raises(InputError, match="give it with --rate"):
        call("convert", "--like", "auto", tmp_path / "a.npy", tmp_path / "a.zarr")
    call("convert", "--like", "auto", tmp_path / "a.npy", tmp_path / "a.zarr", "--rate", 2000, "--units", "uV")
    assert open_store(tmp_path / "a.zarr").rows[0].rate_hz == 2000
    done = call("convert", "--like", "auto", tmp_path / "a.npy", tmp_path / "b.zarr", "--rate", 2000)
    assert "are taken for counts of the digitiser; --units says otherwise" in " ".join(done.stderr.split())


def test_units_are_known_ones_and_not_others_than_the_file_says(tmp_path):
    (tmp_path / "a.csv").write_text("emg (uV)\n1\n2\n3\n")
    (tmp_path / "b.csv").write_text("emg\n1\n2\n3\n")
    convert = ("convert", "--rate", 1000, "--like", "csv")
    with pytest.raises(InputError, match=r"--units: there is no unit 'furlong'\. Known: V, mV, uV.*counts"):
        call(*convert, tmp_path / "b.csv", tmp_path / "b.zarr", "--units", "furlong")
    with pytest.raises(InputError, match="says that it is in uV; --units mV is for files that do not say"):
        call(*convert, tmp_path / "a.csv", tmp_path / "a.zarr", "--units", "mV")
    call(*convert, tmp_path / "a.csv", tmp_path / "a.zarr", "--units", "µV")
    call(*convert, tmp_path / "b.csv", tmp_path / "b.zarr", "--units", "microvolts")
    for name in ("a", "b"):
        store = open_store(tmp_path / f"{name}.zarr")
        emg = store.emg(store.rows[0].id)
        assert emg.attrs["units"] == "V" and emg.values[0] == pytest.approx([1e-6, 2e-6, 3e-6])


def test_options_that_do_not_go_together(tmp_path):
    with pytest.raises(InputError, match="go with --like"):
        call("convert", "uci_emg", tmp_path, "--rate", 2000)
    with pytest.raises(InputError, match="no --subjects"):
        call("convert", "--like", "csv", tmp_path / "a.csv", "--subjects", "1")


def test_a_new_dataset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "fill it in" in call("new", "dataset", "mine").stdout
    assert (tmp_path / "datasets" / "mine.yaml").is_file()
    assert "mine" in call("list", "datasets").stdout
    with pytest.raises(InputError, match="only a dataset can be begun"):
        call("new", "recipe", "mine")


def test_formats_are_listed():
    assert ".vhdr" in call("list", "formats").stdout
