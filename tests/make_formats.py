"""make_formats: small files of every format, written byte by byte after each format's own description."""

from __future__ import annotations

import io
import json
import struct
import tarfile
from pathlib import Path

import numpy as np

ARCHIVES = Path(__file__).resolve().parents[2] / "shared" / "data" / "formats"
COUNTS = (np.arange(360).reshape(2, 180) * 37 % 401 - 200).astype(np.int16)  # (channel, time)


def unpacked(name: str, to: Path) -> Path:
    """The folder of a real archive of ../shared/data/formats."""
    with tarfile.open(ARCHIVES / f"{name}.tar.xz") as packed:
        packed.extractall(to, filter="data")
    return to / name


def csv() -> bytes:
    rows = "".join(f"{i / 1000},{a},{b}\n" for i, (a, b) in enumerate(COUNTS.T.tolist()))
    return ("Time,EMG 1 (uV),EMG 2 (uV)\n" + rows).encode()


def npy(values=COUNTS.T) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def npz(**more) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, emg=COUNTS, fs=np.array(1000.0), **more)
    return stream.getvalue()


def mat() -> bytes:
    from scipy.io import savemat

    stream = io.BytesIO()
    savemat(stream, {"emg": COUNTS.T, "fs": 1000.0, "note": "x"}, do_compression=True)
    return stream.getvalue()


def hdf5() -> bytes:
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        group = file.create_group("run")
        group.attrs["sample_rate"] = 1000.0
        group.create_dataset("emg", data=COUNTS.T)
        group.create_dataset("glove", data=np.ones((180, 3)))
    return stream.getvalue()


def edf(width: int = 2, records: int = 3, ranges=(-1000, 1000, -2000, 2000), onsets=None, digits=COUNTS) -> bytes:
    """Two channels at 60 samples a record of 0.06 s, and annotations."""
    seconds, per, notes = 0.06, 60, 40
    labels = ["EMG 1", "EMG 2", "EDF Annotations" if width == 2 else "BDF Annotations"]
    head = (b"0".ljust(8) if width == 2 else b"\xffBIOSEMI") + b"X X X X".ljust(80)
    head += b"Startdate 01-JAN-2026 X X X X".ljust(80)
    head += b"01.01.2601.02.03" + str(256 * 4).encode().ljust(8) + (b"EDF+C" if width == 2 else b"BDF+C").ljust(44)
    head += str(records).encode().ljust(8) + str(seconds).encode().ljust(8) + b"3".ljust(4)

    def column(values, size):
        return b"".join(str(value).encode().ljust(size) for value in values)

    low, high, bottom, top = ranges
    head += column(labels, 16) + column(["", "", ""], 80) + column(["uV", "uV", ""], 8)
    head += column([low, low, -1], 8) + column([high, high, 1], 8)
    head += column([bottom, bottom, -(1 << 8 * width - 1)], 8) + column([top, top, (1 << 8 * width - 1) - 1], 8)
    head += column(["", "", ""], 80) + column([per, per, notes // width], 8) + column(["", "", ""], 32)
    body = b""
    for i in range(records):
        for row in digits[:, i * per : (i + 1) * per]:
            wide = row.astype("<i4").view(np.uint8).reshape(-1, 4)
            body += wide[:, :width].tobytes()
        onset = onsets[i] if onsets else i * seconds
        text = f"+{onset:g}\x14\x14\0".encode() + (b"+0.07\x150.02\x14fist\x14\0" if i == 1 else b"")
        body += text.ljust(notes // width * width, b"\0")
    return head + body


def brainvision(kind: str = "INT_16", orientation: str = "MULTIPLEXED") -> dict[str, bytes]:
    header = (
        "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nDataFile=a.eeg\nMarkerFile=a.vmrk\n"
        f"DataFormat=BINARY\nDataOrientation={orientation}\nNumberOfChannels=2\nSamplingInterval=1000\n"
        f"[Binary Infos]\nBinaryFormat={kind}\n[Channel Infos]\nCh1=EMG\\1 left,,0.5,µV\nCh2=EMG right,,2,mV\n"
        "[Comment]\nCh1=not a channel\n"
    )
    markers = (
        "Brain Vision Data Exchange Marker File, Version 1.0\n[Marker Infos]\nMk1=New Segment,,1,1,0,2026\n"
        "Mk2=Stimulus,S  1,11,1,0\nMk3=Response,fist,51,20,0\n"
    )
    table = COUNTS.T if orientation == "MULTIPLEXED" else COUNTS
    types = {"INT_16": "<i2", "INT_32": "<i4", "IEEE_FLOAT_32": "<f4"}
    data = np.ascontiguousarray(table).astype(types[kind]).tobytes()
    return {"a.vhdr": header.encode(), "a.vmrk": markers.encode(), "a.eeg": data}


def wfdb(kind: int = 16) -> dict[str, bytes]:
    sums = [int(np.int16(row.sum(dtype=np.int64) & 0xFFFF if row.sum() >= 0 else row.sum())) for row in COUNTS]
    lines = [f"a 2 1000 {COUNTS.shape[1]}"]
    lines += [
        f"a.dat {kind} 200(10)/mV 12 0 {row[0]} {total} 0 EMG {i + 1}"
        for i, (row, total) in enumerate(zip(COUNTS, sums, strict=True))
    ]
    flat = COUNTS.T.ravel().astype(int)
    if kind == 16:
        data = flat.astype("<i2").tobytes()
    else:
        a, b = flat[::2] & 0xFFF, flat[1::2] & 0xFFF
        data = np.stack([a & 255, (a >> 8) | (b >> 8) << 4, b & 255], axis=1).astype(np.uint8).tobytes()
    return {"a.hea": ("\n".join(lines) + "\n").encode(), "a.dat": data}


def xdf() -> bytes:
    def chunk(tag: int, content: bytes) -> bytes:
        return b"\4" + struct.pack("<IH", len(content) + 2, tag) + content

    def header(number: int, name: str, kind: str, count: int, rate: float, fmt: str, desc: str = "") -> bytes:
        xml = (
            f"<?xml version='1.0'?><info><name>{name}</name><type>{kind}</type><channel_count>{count}</channel_count>"
            f"<nominal_srate>{rate}</nominal_srate><channel_format>{fmt}</channel_format><desc>{desc}</desc></info>"
        )
        return chunk(2, struct.pack("<I", number) + xml.encode())

    channels = "".join(f"<channel><label>m{i}</label><unit>microvolts</unit></channel>" for i in (1, 2))
    out = b"XDF:" + chunk(1, b"<?xml version='1.0'?><info><version>1.0</version></info>")
    out += header(1, "arm", "EMG", 2, 1000, "int16", f"<channels>{channels}</channels>")
    out += header(2, "cues", "Markers", 1, 0, "string")
    samples = b"".join(b"\x08" + struct.pack("<d", 5 + i / 1000) + row.tobytes() for i, row in enumerate(COUNTS.T))
    out += chunk(3, struct.pack("<I", 1) + b"\4" + struct.pack("<I", COUNTS.shape[1]) + samples)
    out += chunk(3, struct.pack("<I", 2) + b"\1\1" + b"\x08" + struct.pack("<d", 5.1) + b"\1\4fist")
    for number in (1, 2):
        out += chunk(6, struct.pack("<I", number) + b"<?xml version='1.0'?><info></info>")
    return out


def c3d(floats: bool = False) -> bytes:
    """One marker, two analog channels at 4 samples a frame, 45 frames at 250 Hz; gain 0.5, offset 3."""
    frames, per = 45, 4

    def parameter(group: int, name: str, kind: int, dims: list[int], data: bytes) -> bytes:
        body = struct.pack("<bB", kind, len(dims)) + bytes(dims) + data + b"\0"
        return struct.pack("<bb", len(name), group) + name.encode() + struct.pack("<H", len(body) + 2) + body

    def group(number: int, name: str) -> bytes:
        return struct.pack("<bb", len(name), -number) + name.encode() + struct.pack("<H", 3) + b"\0"

    parameters = group(1, "POINT") + group(2, "ANALOG") + group(3, "EVENT")
    parameters += parameter(1, "RATE", 4, [], struct.pack("<f", 250)) + parameter(
        2, "USED", 2, [], struct.pack("<h", 2)
    )
    parameters += parameter(2, "LABELS", -1, [6, 2], b"EMG 1 EMG 2 ") + parameter(2, "UNITS", -1, [2, 2], b"mVmV")
    parameters += parameter(2, "SCALE", 4, [2], struct.pack("<2f", 0.5, 0.25))
    parameters += parameter(2, "GEN_SCALE", 4, [], struct.pack("<f", 2))
    parameters += parameter(2, "OFFSET", 2, [2], struct.pack("<2h", 3, 0))
    parameters += parameter(2, "RATE", 4, [], struct.pack("<f", 1000))
    parameters += parameter(3, "TIMES", 4, [2, 1], struct.pack("<2f", 0, 0.1))
    parameters += parameter(3, "LABELS", -1, [4, 1], b"fist") + parameter(3, "CONTEXTS", -1, [4, 1], b"Left") + b"\0\0"
    section = (struct.pack("<4B", 1, 80, 2, 84) + parameters).ljust(1024, b"\0")
    scale = -1.0 if floats else 1.0
    head = struct.pack("<BB5HfHHf", 2, 80, 1, 2 * per, 1, frames, 0, scale, 4, per, 250).ljust(512, b"\0")
    analog = COUNTS.T.reshape(frames, -1)
    kind = "<f4" if floats else "<i2"
    rows = np.concatenate([np.zeros((frames, 4)), analog], axis=1).astype(kind)
    return head + section + rows.tobytes()


def rhd() -> bytes:
    """Version 2.0, 128 samples a block, two blocks of two amplifier channels and one digital line."""

    def text(word: str) -> bytes:
        return struct.pack("<I", 2 * len(word)) + word.encode("utf-16-le")

    head = (
        struct.pack("<Ihhf", 0xC6912702, 2, 0, 2000.0) + struct.pack("<h6fh2f", *[0] * 10) + text("note") + text("") * 2
    )
    head += struct.pack("<hh", 0, 0) + text("n/a") + struct.pack("<h", 1)
    head += text("Port A") + text("A") + struct.pack("<hhh", 1, 3, 2)
    for name, order, kind in (("EMG 1", 0, 0), ("EMG 2", 1, 0), ("cue", 3, 4)):
        head += text("x") + text(name) + struct.pack("<10h2f", order, order, kind, 1, 0, 0, 0, 0, 0, 0, 0, 0)
    body = b""
    for i in range(2):
        body += np.arange(128 * i, 128 * i + 128, dtype="<i4").tobytes()
        body += (rhd_counts()[:, 128 * i : 128 * i + 128] + 32768).astype("<u2").tobytes()
        body += np.where((np.arange(128) < 10) & (i == 1), 8, 0).astype("<u2").tobytes()
    return head + body


def rhd_counts() -> np.ndarray:
    return np.resize(COUNTS, (2, 256)).astype(np.int32)


def openbci() -> bytes:
    head = "%OpenBCI Raw EXG Data\n%Number of channels = 2\n%Sample Rate = 250 Hz\n%Board = x\n"
    head += "Sample Index, EXG Channel 0, EXG Channel 1, Accel Channel 0, Marker Channel, Timestamp (Formatted)\n"
    rows = [
        f"{i % 256}, {a}.5, {b}.25, 0.5, {3 if i == 20 else 0}, 12:00:{i // 250:02d}.000\n"
        for i, (a, b) in enumerate(np.abs(COUNTS.T).tolist())
        if i != 100
    ]
    return (head + "".join(rows)).encode()


def opensignals() -> bytes:
    device = {
        "sensor": ["EMG"], "label": ["A1"], "column": ["nSeq", "I1", "A1"], "sampling rate": 1000,
        "resolution": [4, 1, 10], "channels": [1], "device": "bitalino_rev",
    }  # fmt: skip
    head = "# OpenSignals Text File Format\n# " + json.dumps({"20:16": device}) + "\n# EndOfHeader\n"
    return (head + "".join(f"{i % 16}\t0\t{a + 512}\t\n" for i, a in enumerate(COUNTS[0].tolist()))).encode()


def delsys() -> bytes:
    out = "".join(
        f"Label: {name} Sampling frequency: {rate} Number of points: {count} start: 0.0 Unit: {unit} Domain Unit: s\n"
        for name, rate, count, unit in (("S1: EMG 1", 1000.0, 180, "V"), ("S1: ACC.X 1", 100.0, 18, "g"))
    )
    out += 'X[s],"S1: EMG 1",X[s],"S1: ACC.X 1"\n'
    for i, a in enumerate(COUNTS[0].tolist()):
        out += f"{i / 1000},{a / 1000}," + (f"{i / 100},{i / 10}\n" if i < 18 else ",\n")
    return out.encode()


def _tar(parts: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as packed:
        for name, data in parts.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            packed.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def otb_plus() -> bytes:
    xml = (
        '<Device Name="DUE" DeviceTotalChannels="2" SampleFrequency="2048" ad_bits="16"><Channels>'
        '<Adapter ID="AD1" Gain="200" ChannelStartIndex="0"><Channel Index="0" ID="1"/>'
        '<Channel Index="1" ID="2"/></Adapter>'
        "</Channels></Device>"
    )
    return _tar({"x.sig": COUNTS.T.astype("<i2").tobytes(), "x.xml": xml.encode()})


def otb4() -> bytes:
    track = (
        "<TrackInfo><SubTitle>EMG</SubTitle><SignalStreamPath>x.sig</SignalStreamPath><ADC_Nbits>16</ADC_Nbits>"
        "<ADC_Range>4.8</ADC_Range><Gain>150</Gain><SampleSize>2</SampleSize><SamplingFrequency>2000</SamplingFrequency>"
        "<TotalChannelsInFile>2</TotalChannelsInFile><AcquisitionChannel>0</AcquisitionChannel>"
        "<NumberOfChannels>2</NumberOfChannels></TrackInfo>"
    )
    xml = f"<ArrayOfTrackInfo>{track}</ArrayOfTrackInfo>"
    return _tar({"Tracks_000.xml": xml.encode(), "x.sig": COUNTS.T.astype("<i2").tobytes()})


def bomb() -> bytes:
    """A small .npz of which one array unpacks to 4 GiB, by its own word."""
    data = bytearray(npz())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 0xFFFFFFF0)
    return bytes(data)


def every() -> dict[str, dict[str, bytes]]:
    """A format's name -> its files, the one to open first."""
    single = {
        "csv": ("a.csv", csv), "npy": ("a.npy", npy), "npz": ("a.npz", npz), "mat": ("a.mat", mat),
        "hdf5": ("a.h5", hdf5),
        "edf": ("a.edf", edf), "bdf": ("a.bdf", lambda: edf(3)), "xdf": ("a.xdf", xdf), "c3d": ("a.c3d", c3d),
        "rhd": ("a.rhd", rhd), "openbci": ("a.txt", openbci), "opensignals": ("a.txt", opensignals),
        "delsys": ("a.csv", delsys), "otb": ("a.otb+", otb_plus), "otb4": ("a.otb4", otb4),
    }  # fmt: skip
    made = {key: {name: make()} for key, (name, make) in single.items()}
    return made | {"brainvision": brainvision(), "wfdb": wfdb(), "wfdb212": wfdb(212)}
