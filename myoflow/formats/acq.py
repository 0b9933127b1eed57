"""acq: BIOPAC's AcqKnowledge files, through bioread."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from myoflow.errors import InputError
from myoflow.formats.base import FORMATS, Beside, Format, Mark, Signals, joined, plain, scaled, unique
from myoflow.formats.base import missing as missing_package
from myoflow.readers.source import File

_UNITS = {"volts": "V", "mv": "mV", "uv": "uV", "µv": "uV", "millivolts": "mV", "microvolts": "uV"}


@FORMATS.add("acq")
class Acq(Format):
    """Channels in their counts with gain, grouped by rate; journal markers are events, segments' beginnings are not."""

    suffixes = (".acq",)
    what = "a BIOPAC AcqKnowledge file"

    def parse(self, file: File, beside: Beside, variable: str | None) -> Signals:
        try:
            import bioread
        except ImportError as error:
            raise missing_package(file.where, "AcqKnowledge", "bioread") from error
        data = file.read()
        if len(data) < 16:
            raise InputError(f"{file.where}: is not {self.what}: it has {len(data)} bytes")
        with _heard("bioread") as complaints:
            try:
                content = bioread.read_file(io.BytesIO(data))
            except Exception as error:  # from damaged bytes it raises whatever comes first
                complaints.append(str(error) or type(error).__name__)
        if complaints:
            what = re.sub(r"<class '[\w.]*\.(\w+)'>", r"\1", complaints[0])
            raise InputError(f"{file.where}: cannot be read as {self.what}: {what}. Is the file whole?")
        groups: dict[float, list[int]] = {}
        for i, channel in enumerate(content.channels):
            if len(channel.raw_data) < channel.point_count:
                raise InputError(f"{file.where}: channel {channel.name}: {channel.point_count:,} samples are promised, "
                                 f"{len(channel.raw_data):,} are there. Is the file whole?")  # fmt: skip
            groups.setdefault(float(channel.samples_per_second), []).append(i)
        blocks = []
        for rate, members in groups.items():
            channels = [content.channels[i] for i in members]
            names = unique([channel.name for channel in channels])
            units = tuple(_UNITS.get(channel.units.strip().lower(), channel.units.strip()) for channel in channels)
            count = min(len(channel.raw_data) for channel in channels)
            table = np.stack([np.asarray(channel.raw_data[:count]) for channel in channels])
            if table.dtype.kind == "i":
                scale = [float(channel.raw_scale_factor) for channel in channels]
                shift = [float(channel.raw_offset) / factor for channel, factor in zip(channels, scale, strict=True)]
                values, gain = scaled(table, scale, shift)
                blocks.append((f"{rate:g}Hz", Signals(names, rate, units, values, gain)))
            else:
                block = plain(names, rate, units, np.stack([np.asarray(channel.data[:count]) for channel in channels]))
                blocks.append((f"{rate:g}Hz", block))
        base = float(content.samples_per_second)
        marks = [
            Mark(marker.sample_index / base, 0.0, str(marker.text).strip())
            for marker in content.event_markers or ()
            if str(marker.text).strip() and not str(marker.text).startswith("Segment ")
        ]
        return joined(blocks, events=tuple(sorted(marks, key=lambda mark: mark.onset_s)))


class _Keep(logging.Handler):
    def __init__(self, messages: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(" ".join(record.getMessage().split())[:200])


@contextmanager
def _heard(name: str) -> Iterator[list[str]]:
    """What a library only logs and then goes on from, with guessed values."""
    messages: list[str] = []
    log = logging.getLogger(name)
    handlers, propagate = log.handlers, log.propagate
    log.handlers, log.propagate = [_Keep(messages)], False
    try:
        yield messages
    finally:
        log.handlers, log.propagate = handlers, propagate
