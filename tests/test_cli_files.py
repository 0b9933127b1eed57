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
