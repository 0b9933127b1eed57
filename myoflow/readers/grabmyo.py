"""grabmyo: the PhysioNet set GRABMyo: one WFDB record a trial."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from attrs import field

from myoflow.errors import InputError
from myoflow.readers.base import READERS, Item, Reader, Subject, bids_attributes, sha256
from myoflow.readers.source import File, Source
from myoflow.recording import Events, Recording
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.card import Card

_FILE = re.compile(r"(?:^|/)session(\d+)_participant(\d+)_gesture(\d+)_trial(\d+)\.(hea|dat)$")
_VOLTS = {"v": 1.0, "mv": 1e-3, "uv": 1e-6}
_LONGEST, _LINES = 500, 1000  # characters, and lines; the set's have about 100 and 34
_MISSING = -(2**15)  # what format 16 writes for a sample that is not there
_EXPECTED = "pairs of session<n>_participant<n>_gesture<n>_trial<n>.hea and .dat"


@frozen
class Options:
    """`attributes` are added to every recording as they are; use BIDS-EMG's names."""

    attributes: dict[str, Any] = field(factory=dict)


@READERS.add("grabmyo")
class GrabMyo(Reader):
    """One recording a trial, all of it one gesture; the card's channels, in its order, in the converter's own steps.

    A record's baselines differ, so counts less their baseline need more than 16 bits and are kept in 32. Every
    checksum of a header is compared with its samples.
    """

    Options = Options

    def recordings(self, source: Source | None, wanted: Subject | None = None) -> Iterator[Item]:
        assert source is not None, "needs_source"
        found: dict[tuple[int, int, int, int], dict[str, str]] = {}
        for name in source.names:
            match = _FILE.search(name)
            if match is None:
                continue
            pair = found.setdefault((int(match[2]), int(match[1]), int(match[3]), int(match[4])), {})
            if match[5] in pair:
                raise InputError(f"{source.place} has the same file twice: {pair[match[5]]} and {name}")
            pair[match[5]] = name
        if not found:
            raise InputError(f"{source.place}: expected {_EXPECTED}; found {source.brief()}")
        for (subject, session, gesture, trial), pair in sorted(found.items()):
            if wanted is not None and not wanted(f"{subject:02d}"):
                continue
            if len(pair) < 2:
                (name,) = pair.values()
                lost = "hea" if "dat" in pair else "dat"
                raise InputError(f"{source.place}: {name} lacks its .{lost} file")
            if not 1 <= gesture <= len(self.card.labels):
                raise InputError(f"{source.place}: {pair['hea']}: there is no gesture {gesture}")
            yield Item(
                id=f"sub-{subject:02d}/ses-{session:02d}/run-G{gesture:02d}T{trial}",
                parse=partial(_recording, self.card, self.options, (subject, session, gesture, trial)),
                names=(pair["dat"], pair["hea"]),
                source=source,
            )


def _recording(card: Card, options: Options, place: tuple[int, int, int, int], files: tuple[File, ...]) -> Recording:
    subject, session, gesture, trial = place
    samples, header = (file.read() for file in files)
    emg, gain = read(header, samples, (files[1], files[0]), card)
    return Recording(
        subject=f"{subject:02d}",
        session=f"{session:02d}",
        run=f"G{gesture:02d}T{trial}",
        emg=emg,
        gain=gain,
        rate_hz=card.rate,
        channels=card.channels,
        events=Events(
            onset=np.zeros(1, np.int64),
            length=np.array([emg.shape[1]], np.int64),
            label=np.array([gesture - 1], np.int16),
            repetition=np.array([trial], np.int16),
            names=card.labels,
        ),
        units=card.units,
        attrs=bids_attributes(card) | options.attributes,
        sources=tuple(
            (file.name.rpartition("/")[2], sha256(data)) for file, data in ((files[1], header), (files[0], samples))
        ),
    )


def read(
    header: bytes, samples: bytes, files: tuple[File, File], card: Card
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Counts `(channel, time)` less their baseline, and volts per count, of the card's channels.

    `files` are those of header and samples, for their names.

    Raises:
        InputError: no such record, or one that contradicts itself; names file and signal.
    """
    where, data_where = files[0].where, files[1].where
    record = _header(header, files)
    if record.fs != card.rate:
        raise InputError(f"{where}:1: the rate is {record.fs:g} Hz, expected {card.rate:g}")
    promised = 2 * record.n_sig * record.sig_len
    if len(samples) != promised:
        what = "the file is cut off" if len(samples) < promised else "the file is longer than that"
        raise InputError(
            f"{data_where}: byte {min(len(samples), promised)}: the header promises {record.sig_len} samples of "
            f"{record.n_sig} signals, {promised} bytes, and there are {len(samples)}: {what}"
        )
    lost = [name for name in card.channels if name not in record.sig_name]
    if lost:
        raise InputError(f"{where}: there is no signal {lost[0]}; it has {', '.join(map(str, record.sig_name))}")
    counts = _samples(header, samples, files)
    emg = np.empty((len(card.channels), record.sig_len), np.int32)
    gain = np.empty(len(card.channels), np.float32)
    for row, name in enumerate(card.channels):
        i = record.sig_name.index(name)
        column = counts[:, i]
        at = f"{where}:{i + 2}: {name}"
        if int(column.sum(dtype=np.int64)) % 65536 != record.checksum[i] % 65536:
            raise InputError(f"{at}: the checksum differs from the samples in {data_where}; one of them is damaged")
        if (column == _MISSING).any():
            raise InputError(
                f"{data_where}: sample {int(np.argmax(column == _MISSING))} of {name} is marked as missing"
            )
        volts = _VOLTS.get(str(record.units[i]).lower())
        if volts is None or not (np.isfinite(record.adc_gain[i]) and record.adc_gain[i] > 0):
            raise InputError(
                f"{at}: its scale is {record.adc_gain[i]}/{record.units[i]}, expected a number of counts/mV"
            )
        if abs(record.baseline[i]) >= 2**30:
            raise InputError(f"{at}: its baseline is {record.baseline[i]}, beyond any count")
        emg[row] = column.astype(np.int64) - record.baseline[i]
        gain[row] = volts / record.adc_gain[i]
    return emg, gain


def _header(data: bytes, files: tuple[File, File]) -> Any:
    """The record's header, with nothing in it that could lead to other files or sizes."""
    where, own = files[0].where, files[1].name.rpartition("/")[2]
    if not data.strip():
        raise InputError(f"{where}:1: the file is empty; expected a WFDB header")
    for number, line in enumerate(data.split(b"\n"), start=1):
        if len(line) > _LONGEST or number > _LINES:  # the parser's time grows with the square of a line
            raise InputError(f"{where}:{number}: is longer than a WFDB header can be")
    record = _wfdb(data, None, files)
    for attribute in ("n_sig", "sig_len", "fs"):
        value = getattr(record, attribute)
        if value is None or not value > 0:
            raise InputError(f"{where}:1: {attribute} is {value}, expected a number above zero")
    columns = ("file_name", "fmt", "units", "adc_gain", "baseline", "checksum", "sig_name", "samps_per_frame")
    for attribute in columns:
        values = getattr(record, attribute)
        if values is None or len(values) != record.n_sig or any(value is None for value in values):
            raise InputError(f"{where}: {attribute} is not given for each of its {record.n_sig} signals")
    for i in range(record.n_sig):
        plain = record.samps_per_frame[i] == 1 and not (record.byte_offset[i] or record.skew[i])
        if record.file_name[i] != own or str(record.fmt[i]) != "16" or not plain:
            raise InputError(
                f"{where}:{i + 2}: {record.sig_name[i]} is in {record.file_name[i]} in format {record.fmt[i]}; "
                f"expected plain samples in {own} in format 16"
            )
    return record


def _samples(header: bytes, samples: bytes, files: tuple[File, File]) -> npt.NDArray[np.int64]:
    counts: npt.NDArray[np.int64] = _wfdb(header, samples, files).d_signal
    return counts


def _wfdb(header: bytes, samples: bytes | None, files: tuple[File, File]) -> Any:
    """What the wfdb package makes of a record, or of its header alone."""
    try:
        import wfdb
    except ImportError as error:
        raise InputError("reading WFDB records needs the package wfdb: pip install 'myoflow[readers]'") from error
    name = files[0].name.rpartition("/")[2].removesuffix(".hea")
    with tempfile.TemporaryDirectory(prefix="myoflow-") as folder:
        place = str(Path(folder) / name)
        Path(f"{place}.hea").write_bytes(header)
        if samples is not None:
            Path(f"{place}.dat").write_bytes(samples)
        try:
            if samples is None:
                return wfdb.rdheader(place)
            return wfdb.rdrecord(place, physical=False)
        except Exception as error:  # its parser lets every kind of error through
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{files[0].where} is no WFDB record: {reason.replace(place, name)}") from error
