"""mne_raw: a recording as MNE-Python's Raw, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from myoflow.errors import InputError
from myoflow.recording import Recording

if TYPE_CHECKING:
    import mne

_VOLTS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "nV": 1e-9}


def raw_array(rec: Recording) -> mne.io.RawArray:
    """EMG `(channel, time)` in volts as float64, with the events as annotations in seconds.

    Raises:
        InputError: MNE is not installed.
    """
    try:
        import mne
    except ImportError as error:
        raise InputError("to_mne needs MNE-Python: pip install 'myoflow[mne]'") from error
    kind = "emg" if rec.units in _VOLTS else "misc"
    info = mne.create_info(list(rec.channels), rec.rate_hz, kind)
    line = rec.attrs.get("PowerLineFrequency")
    if isinstance(line, int | float):
        info["line_freq"] = float(line)
    info["subject_info"] = {"his_id": f"sub-{rec.subject}"}
    values = np.asarray(rec.emg, np.float64)
    values *= rec.gain.astype(np.float64)[:, None] * _VOLTS.get(rec.units, 1.0)
    raw = mne.io.RawArray(values, info, verbose="ERROR")
    names = [rec.events.names[i] for i in rec.events.label.tolist()]
    onset, length = rec.events.onset / rec.rate_hz, rec.events.length / rec.rate_hz
    raw.set_annotations(mne.Annotations(onset, length, names), verbose="ERROR")
    return raw
