"""serial: frames from a serial port."""

from __future__ import annotations

from myoflow.errors import InputError
from myoflow.live.framed import Framed
from myoflow.live.source import SOURCES, Connection, Context, Lost, Source
from myoflow.typed import Hz, frozen


@SOURCES.add("serial")
@frozen
class Serial(Source):
    """Frames (docs/live.md) from a port such as `/dev/ttyUSB0`, `COM3` or a pyserial URL.

    A port that vanishes (a plug pulled out) is opened again. A device that sends no description needs `rate` and
    `units`, and `gain` if it sends counts. `channels` chooses, as in `1..8`.
    """

    address: str
    baud: int = 921600
    rate: Hz | None = None
    units: str | None = None
    gain: float | None = None
    channels: str | None = None

    def open(self, context: Context) -> Connection:
        try:
            import serial
        except ImportError:
            raise InputError("serial ports need pyserial: pip install 'myoflow[live]'") from None
        place = f"serial:{self.address}"
        try:
            port = serial.serial_for_url(self.address, baudrate=self.baud, timeout=0.05)
        except (OSError, ValueError) as error:
            raise Lost(f"{place} cannot be opened ({error})") from None

        def receive(timeout_s: float) -> bytes:
            try:
                port.timeout = timeout_s
                first = bytes(port.read(1))  # waits; then whatever else is there
                return first + bytes(port.read(port.in_waiting)) if first else b""
            except (OSError, TypeError) as error:
                raise Lost(f"{place} is gone ({error})") from None

        return Framed(
            receive,
            port.close,
            place,
            rate=self.rate,
            units=self.units,
            gain=self.gain,
            channels=self.channels,
        )
