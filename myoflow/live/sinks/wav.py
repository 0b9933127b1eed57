"""wav: a signal as a sound file."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

from myoflow.errors import InputError
from myoflow.live.sink import SINKS, Channel, Quiet, Sink
from myoflow.spec import SIGNAL
from myoflow.typed import Mismatch, frozen

if TYPE_CHECKING:
    from myoflow.live.output import Output
    from myoflow.spec import Spec

_HEADER = struct.Struct("<4sI4s4sIHHIIHHH4sII4sI")
FLOAT = 3  # WAVE_FORMAT_IEEE_FLOAT
PATCH = 64  # writes between two patches of the sizes in the header
MOST = 0xFFFFFFFF - _HEADER.size


@SINKS.add("wav")
@frozen
class Wav(Sink):
    """Float32 samples times `scale`, all channels: the voice of silent speech, or what the pipeline gives up to a
    stage, `--until notch`.

    Volts are far too quiet to hear: `wav:out.wav?scale=1000`. The header is kept up to date, so that what a killed
    process leaves can be played. A WAV file's rate is a whole number, and it holds up to 4 GB.
    """

    address: str
    scale: float = 1.0

    def __attrs_post_init__(self) -> None:
        if not self.scale > 0:
            raise Mismatch(f"scale must be above 0, got {self.scale:g}")

    def open(self, taken: Spec, given: Spec) -> Channel:
        if given.dims != SIGNAL:
            raise InputError(
                f"sink wav takes a signal (channel, time), not {given.describe()}; stop before the windows with --until"
            )
        if given.rate_hz != round(given.rate_hz):
            raise InputError(f"sink wav: the rate in a WAV file is a whole number, not {given.rate_hz:g} Hz")
        path = Path(self.address)
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: a WAV file's header is written last; give the name of a file")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return _Wav(path.open("wb"), given.size("channel"), round(given.rate_hz), self.scale)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}") from None


class _Wav(Quiet):
    def __init__(self, file: IO[bytes], channels: int, rate: int, scale: float) -> None:
        self._file, self._channels, self._rate, self._scale = file, channels, rate, scale
        self._bytes = self._writes = 0
        self._full = False
        self._patch()

    def write(self, output: Output) -> None:
        import numpy as np

        if not output.is_signal:
            return  # the words of the same voice
        data = np.ascontiguousarray(output.values.T * np.float32(self._scale), "<f4").tobytes()
        if self._bytes + len(data) > MOST:
            if not self._full:
                print("sink wav: the file is full (4 GB); what comes now is not in it", file=sys.stderr)
            self._full = True
            return
        self._file.write(data)
        self._bytes += len(data)
        self._writes += 1
        if self._writes % PATCH == 0:
            self._patch()

    def close(self, summary: object) -> None:
        self._patch()
        self._file.close()

    def _patch(self) -> None:
        """The header with the sizes as they are now."""
        frame = 4 * self._channels
        samples = self._bytes // frame
        self._file.seek(0)
        self._file.write(
            _HEADER.pack(
                b"RIFF", _HEADER.size - 8 + self._bytes, b"WAVE",
                b"fmt ", 18, FLOAT, self._channels, self._rate, self._rate * frame, frame, 32, 0,
                b"fact", 4, samples,
                b"data", self._bytes,
            )
        )  # fmt: skip
        self._file.seek(0, 2)
        self._file.flush()
