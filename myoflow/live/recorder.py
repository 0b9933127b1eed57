"""Recorder: raw signal and outputs of a live stream in a store, kept even when the process is killed.

While it runs, everything goes to the end of a journal, `STORE/.live/<name>/`: a description, the samples as frames
(`frames.py`, which show where a write was cut off) and the outputs as lines. At the end the journal becomes whole
recordings, one for each stretch without a gap that was too long to fill. A journal that a killed process left is turned
into recordings by the next one that records into the store, or by `recover`.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from attrs import asdict

from myoflow.errors import InputError
from myoflow.files import write_json
from myoflow.live import frames
from myoflow.recording import Events, Recording, Stream, in_blocks
from myoflow.spec import SCORES
from myoflow.store.layout import Origin
from myoflow.store.write import Writer

if TYPE_CHECKING:
    from myoflow.live.block import Signal
    from myoflow.live.decoder import Decoder
    from myoflow.live.output import Output
    from myoflow.live.timeline import Piece

JOURNALS = ".live"
SYNC_S = 1.0  # how often the journal is forced onto the disk; the process's own death loses nothing at all
DIGEST = "live-1"
ORIGIN = Origin("live", "live", "1")
DRAFT = ".draft-"  # begins the name of a journal that is being made
READ = 1 << 20
WAIT_S = 60.0  # for another session that puts its recordings in


class Recorder:
    """Keeps one stream in the store at `path`, as recordings of `subject` (letters and digits).

    A disk that is full, or gone, ends the recording and not the stream: `failed` says so, and what the journal has
    becomes recordings once there is room.

    Raises:
        InputError: something else is at `path`, it cannot be written, or the subject is no BIDS label.
    """

    def __init__(self, path: Path, *, subject: str = "live") -> None:
        if not (subject.isascii() and subject.isalnum()):
            raise InputError(f"subject '{subject}' must be letters and digits, as BIDS wants")
        self.path, self._subject = path, subject
        try:
            self.recovered = recover(path)
        except OSError as error:
            raise InputError(f"{path} cannot be recorded to: {error.strerror or error}") from None
        self.ids: tuple[str, ...] = ()
        self.failed: str | None = None
        self._samples: IO[bytes] | None = None

    def begin(self, signal: Signal, decoder: Decoder | None, labels: Sequence[str] = ()) -> None:
        """Start the journal."""
        spec = decoder.output if decoder is not None else None
        draft = _draft(self.path)
        self._samples = (draft / "samples.frames").open("ab")
        fcntl.flock(self._samples, fcntl.LOCK_EX)  # says that this journal is being written
        self._outputs = (draft / "outputs.jsonl").open("a", encoding="utf-8")
        self._folder = _named(draft, self.path, self._subject)
        self._dtype = np.dtype(signal.dtype if signal.dtype in ("int16", "int32") else "float32")
        told: dict[str, Any] = {
            "subject": self._subject,
            "session": self._folder.name,
            "signal": asdict(signal),
            "dtype": self._dtype.name,
            "labels": list(labels or (spec.labels if spec is not None else ())),
            "outputs": spec is not None and spec.dims == SCORES and len(spec.labels) == spec.sizes[-1],
            "step_s": spec.step_s if spec is not None else None,
            "window_s": spec.window_s if spec is not None else None,
        }
        write_json(self._folder / "about.json", told)
        self._synced = time.monotonic()
        self._keeps = bool(told["outputs"])

    def piece(self, piece: Piece) -> None:
        """Samples as they stand on the grid; made-up ones are marked."""
        if self.failed is None:
            with self._trying():
                self._piece(piece)

    def _piece(self, piece: Piece) -> None:
        assert self._samples is not None, "begin comes first"
        if piece.restart:
            self._line({"restart": piece.start})
        if piece.made:
            self._line({"made": [piece.start, piece.start + piece.values.shape[1]]})
        for at in range(0, piece.values.shape[1], 0xFFFF):
            part = piece.values[:, at : at + 0xFFFF].astype(self._dtype, copy=False)
            self._samples.write(frames.samples(part, piece.start + at))
        self._samples.flush()
        now = time.monotonic()
        if now - self._synced > SYNC_S:
            self._outputs.flush()
            os.fdatasync(self._samples.fileno())
            self._synced = now

    @contextmanager
    def _trying(self, what: str = "the recording stopped") -> Iterator[None]:
        """What cannot be written ends the recording."""
        try:
            yield
        except OSError as error:
            self.failed = (
                f"{what}: {self.path}: {error.strerror or error}; what was written is in {self._folder} and becomes "
                "recordings when the next session records there"
            )

    def output(self, output: Output) -> None:
        """One decision, moment or sentence; other outputs can be made again from the signal."""
        if output.said is not None:
            if output.said.kind in ("event", "text"):
                self._line({"said": [output.said.start_s, output.said.end_s, output.said.text]})
        elif self._keeps:
            scores = [float(value) for value in output.values]
            self._line({"end": output.end_s, "latency": output.latency.total_s, "scores": scores})

    def event(self, label: int, start: int, stop: int, repetition: int) -> None:
        """The user did what was asked, from sample `start` to `stop`."""
        self._line({"event": [label, start, stop, repetition]})

    def end(self, notes: Sequence[str] = ()) -> None:
        """Turn the journal into recordings."""
        if self._samples is None:
            return
        for note in notes:
            self._line({"note": note})
        lock = os.dup(self._samples.fileno())  # until its recordings are there, or another session would take it up
        try:
            for file in (self._samples, self._outputs):
                with self._trying():
                    file.close()
            self._samples = None
            if self.failed is None:
                with self._trying("the journal could not be made into recordings"):
                    self.ids = _keep(self.path, [self._folder])
        finally:
            os.close(lock)

    def _line(self, value: dict[str, Any]) -> None:
        if self.failed is None:
            with self._trying():
                self._outputs.write(json.dumps(value) + "\n")
                self._outputs.flush()


MOST_SAID = 10_000  # moments or sentences kept in a recording's description


def recover(path: Path) -> tuple[str, ...]:
    """Turn journals that killed processes left in a store into recordings; gives their ids.

    Raises:
        InputError: something else than a store of live recordings is at `path`.
    """
    if not (path / JOURNALS).is_dir():
        with _writer(path):
            return ()  # a store that cannot be written should fail now, and not at the end of a session
    try:
        there = sorted((path / JOURNALS).iterdir())
    except FileNotFoundError:
        there = []  # another session has just ended
    left = [folder for folder in there if not folder.name.startswith(DRAFT) and folder.is_dir()]
    return _keep(path, [folder for folder in left if not _written(folder)])


def waiting(path: Path) -> tuple[str, ...]:
    """Sessions whose signal is in journals and not yet in recordings."""
    folder = path / JOURNALS
    return tuple(sorted(each.name for each in folder.iterdir() if each.is_dir())) if folder.is_dir() else ()


def _written(folder: Path) -> bool:
    """Whether a living process writes this journal."""
    file = folder / "samples.frames"
    if not file.exists():
        return False
    with file.open("rb") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _draft(store: Path) -> Path:
    """A new folder for a journal, which nobody takes up before it has its name."""
    for _ in range(100):
        with suppress(FileNotFoundError):  # another session may be removing the empty folder of all journals
            folder = store / JOURNALS / f"{DRAFT}{uuid.uuid4().hex}"
            folder.mkdir(parents=True)
            return folder
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(store / JOURNALS))


def _named(draft: Path, store: Path, subject: str) -> Path:
    """The journal's folder under its name: after the time, and as no recording of the subject is yet."""
    now = time.strftime("%Y%m%dT%H%M%S")
    for number in count(1):
        name = now if number == 1 else f"{now}x{number}"  # another of the same second
        if (store / f"sub-{subject}" / f"ses-{name}").exists() or (store / JOURNALS / name).exists():
            continue
        try:
            return draft.rename(store / JOURNALS / name)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    raise AssertionError("count never ends")


def _writer(path: Path) -> Writer:
    """The store's writer, waited for: another session may just be putting its recordings in."""
    until = time.monotonic() + WAIT_S
    while True:
        try:
            return Writer(path, {"dataset": "live"}, DIGEST)
        except InputError as error:
            if "another process" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.2)


def _keep(path: Path, journals: Sequence[Path]) -> tuple[str, ...]:
    """Journals as whole recordings; each is removed once its recordings are in the store."""
    ids: list[str] = []
    with _writer(path) as writer:
        for folder in journals:
            if not folder.is_dir():
                continue  # another session has been faster
            for recording in _recordings(folder):
                if recording.id not in writer:
                    writer.add(recording, ORIGIN)
                ids.append(recording.id)
            shutil.rmtree(folder)
    with suppress(OSError):  # others are being written, or another session has just removed it
        (path / JOURNALS).rmdir()
    return tuple(ids)


def _recordings(folder: Path) -> Iterator[Recording]:
    """The recordings that a journal holds."""
    if not (folder / "about.json").is_file():
        return  # killed before the first sample
    try:
        told = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        for name in ("subject", "session", "signal", "dtype", "labels"):
            told[name]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"the journal {folder} of a session that was killed does not say what it holds ({error!r}); "
            "move it out of the store, then others can be recorded there"
        ) from None
    lines = list(_lines(folder / "outputs.jsonl"))
    cuts = sorted({line["restart"] for line in lines if "restart" in line})
    stretches = list(_stretches(folder, cuts))
    for number, (start, stop) in enumerate(stretches, 1):
        yield _recording(folder, told, lines, number, start, stop)


def _stretches(folder: Path, cuts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and end sample of each stretch without a hole."""
    start = stop = None
    for frame in _frames(folder / "samples.frames"):
        assert frame.values is not None, "a journal holds samples only"
        if start is None or stop is None:
            start = stop = frame.first
        elif frame.first != stop or frame.first in cuts:
            yield start, stop
            start = stop = frame.first
        stop += frame.values.shape[1]
    if start is not None and stop is not None and stop > start:
        yield start, stop


def _recording(
    folder: Path, told: dict[str, Any], lines: Sequence[dict[str, Any]], number: int, start: int, stop: int
) -> Recording:
    signal = told["signal"]
    channels, rate = tuple(signal["channels"]), float(signal["rate_hz"])

    def blocks() -> Iterator[Any]:
        for frame in _frames(folder / "samples.frames"):
            if frame.values is not None and start <= frame.first < stop:
                yield frame.values

    made = [line["made"] for line in lines if "made" in line and start <= line["made"][0] < stop]
    notes = [line["note"] for line in lines if "note" in line]
    repairs = [f"{b - a} lost samples at {(a - start) / rate:.3f} s were filled in" for a, b in made[:1000]]
    said = [line["said"] for line in lines if "said" in line and start / rate <= line["said"][0] < stop / rate]
    attrs_ = {"RecordingType": "continuous", "live_start_s": start / rate, "live_notes": notes[:1000]}
    if said:
        attrs_["live_said"] = [[a - start / rate, b - start / rate, text] for a, b, text in said[:MOST_SAID]]
    return Recording(
        subject=told["subject"],
        session=told["session"],
        run=str(number),
        emg=in_blocks((len(channels), stop - start), np.dtype(told["dtype"]), blocks),
        gain=np.asarray(signal["gain"], np.float32),
        rate_hz=rate,
        channels=channels,
        events=_events(lines, told, start, stop),
        units=signal["units"] or "n/a",
        streams=_decisions(lines, told, start / rate, stop / rate),
        attrs=attrs_,
        repairs=tuple(repairs),
    )


def _events(lines: Sequence[dict[str, Any]], told: dict[str, Any], start: int, stop: int) -> Events:
    """What the user was asked to do; decisions are no events, they are no truth."""
    rows = [line["event"] for line in lines if "event" in line and start <= line["event"][1] < line["event"][2] <= stop]
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    first = np.asarray(columns[1], np.int64)
    return Events(
        onset=first - start,
        length=np.asarray(columns[2], np.int64) - first,
        label=np.asarray(columns[0], np.int16),
        repetition=np.asarray(columns[3], np.int16),
        names=tuple(told["labels"]),
    )


def _decisions(
    lines: Sequence[dict[str, Any]], told: dict[str, Any], start_s: float, stop_s: float
) -> dict[str, Stream]:
    """Scores of the decisions at the step of the windows: row k is the window that ends `k step + window` after the
    recording's start; NaN where a window was dropped."""
    rows = [line for line in lines if "scores" in line and start_s < line["end"] <= stop_s + 1e-9]
    step, window = told["step_s"], told["window_s"]
    if not rows or not step:
        return {}
    place = [round((row["end"] - start_s - window) / step) for row in rows]
    values = np.full((2 + len(told["labels"]), max(place) + 1), np.nan, np.float32)
    for k, row in zip(place, rows, strict=True):
        values[:, k] = [row["end"] - start_s, row["latency"], *row["scores"]]
    names = ("end_s", "latency_s", *(f"score_{label}" for label in told["labels"]))
    return {"decisions": Stream(values, 1 / step, "mixed", names)}


def _frames(file: Path) -> Iterator[frames.Frame]:
    """Whole frames of a journal; what a killed process left half-written ends it."""
    if not file.is_file():
        return
    unpacker = frames.Unpacker()
    with file.open("rb") as opened:
        while data := opened.read(READ):
            yield from unpacker.feed(data)


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    if not file.is_file():
        return
    with file.open(encoding="utf-8", errors="replace") as opened:
        for text in opened:
            try:
                yield json.loads(text)
            except ValueError:
                continue  # the last one, half-written
