"""Features of windows: one pass for those of the time domain, Levinson-Durbin, and the periodogram."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from myoflow.dsp.jit import f8, given, jit, made
from myoflow.dsp.kernel import Array

_MAV, _RMS, _WL, _ZC, _SSC, _VAR = range(6)
_COLUMN = {"mav": _MAV, "rms": _RMS, "wl": _WL, "zc": _ZC, "ssc": _SSC, "var": _VAR}
FLOOR = {"mav": 1e-9, "rms": 1e-9, "wl": 1e-9, "var": 1e-18}  # of the logarithms, in the signal's unit


@jit(given("f4", 2), made("f4", 2), f8, f8, fastmath={"reassoc", "contract"})
def _time_domain(x: Array, out: Array, zc: float, ssc: float) -> None:
    """All time-domain features of rows `(row, sample)` into `(row, 6)`.

    Additions may be regrouped into vector lanes. How depends on the row's length alone, so a row gives the same
    bits in any batch.
    """
    length = x.shape[1]
    cross, turn = np.float32(zc), np.float32(ssc)
    zero = np.float32(0.0)
    for r in range(x.shape[0]):
        row = x[r]
        absolute, squares, path, plain = zero, zero, zero, zero
        crossings, turns = np.int32(0), np.int32(0)
        for i in range(1, length - 1):
            before, value, after = row[i - 1], row[i], row[i + 1]
            step, following = value - before, after - value
            absolute += abs(value)
            squares += value * value
            plain += value
            path += abs(step)
            crossings += np.int32(((before >= zero) != (value >= zero)) & (abs(step) >= cross))
            peak = ((step > zero) & (following < zero)) | ((step < zero) & (following > zero))
            turns += np.int32(peak & ((abs(step) >= turn) | (abs(following) >= turn)))
        first, before, value = row[0], row[length - 2], row[length - 1]
        absolute += abs(first) + abs(value)
        squares += first * first + value * value
        plain += first + value
        path += abs(value - before)
        crossings += np.int32(((before >= zero) != (value >= zero)) & (abs(value - before) >= cross))
        mean = plain / np.float32(length)
        spread = zero
        for i in range(length):
            spread += (row[i] - mean) * (row[i] - mean)
        broken = not math.isfinite(absolute)
        out[r, 0] = math.nan if broken else absolute / length
        out[r, 1] = math.nan if broken else math.sqrt(squares / length)
        out[r, 2] = math.nan if broken else path
        out[r, 3] = math.nan if broken else crossings
        out[r, 4] = math.nan if broken else turns
        out[r, 5] = math.nan if broken else spread / (length - 1)


@jit(given("f4", 2), made("f4", 2))
def _autoregression(x: Array, out: Array) -> None:
    """Yule-Walker coefficients a1, a2, ... of rows `(row, sample)` into `(row, order)`: Levinson-Durbin."""
    length, order = x.shape[1], out.shape[1]
    lags = np.empty(order + 1)
    a = np.zeros(order)
    last = np.zeros(order)
    for r in range(x.shape[0]):
        for k in range(order + 1):
            total = 0.0
            for i in range(length - k):
                total += float(x[r, i]) * float(x[r, i + k])
            lags[k] = total
        a[:] = 0.0
        error = lags[0]
        for k in range(order):
            if error <= 0.0:
                break
            reflection = lags[k + 1]
            for j in range(k):
                reflection -= a[j] * lags[k - j]
            reflection /= error
            last[:] = a
            a[k] = reflection
            for j in range(k):
                a[j] = last[j] - reflection * last[k - 1 - j]
            error *= 1.0 - reflection * reflection
        for k in range(order):
            out[r, k] = a[k] if math.isfinite(lags[0]) else math.nan


def time_domain(x: Array, zc: float = 0.0, ssc: float = 0.0) -> Array:
    """`(window, channel, time)` float32 -> `(window, channel, 6)`: mav, rms, wl, zc, ssc, var."""
    x = np.ascontiguousarray(x, np.float32)
    out = np.empty((*x.shape[:2], 6), np.float32)
    _time_domain(x.reshape(-1, x.shape[2]), out.reshape(-1, 6), zc, ssc)
    return out


def autoregression(x: Array, order: int) -> Array:
    """`(window, channel, time)` float32 -> `(window, channel, order)`."""
    x = np.ascontiguousarray(x, np.float32)
    out = np.empty((*x.shape[:2], order), np.float32)
    _autoregression(x.reshape(-1, x.shape[2]), out.reshape(-1, order))
    return out


def frequencies(x: Array, rate_hz: float) -> tuple[Array, Array]:
    """Mean and median frequency in Hz, each `(window, channel)`, of the periodogram without its mean."""
    length = x.shape[2]
    hertz = np.fft.rfftfreq(length, 1.0 / rate_hz)
    mean = np.empty(x.shape[:2], np.float32)
    median = np.empty(x.shape[:2], np.float32)
    x = np.where(np.isfinite(x).all(axis=2, keepdims=True), x, np.float32(np.nan))
    for window, values in enumerate(x):  # window by window: a batch of float64 spectra would fall out of the cache
        values = values.astype(np.float64)
        values -= values[:, :1].copy()  # before the mean, so that a constant has exactly no power
        power = np.abs(np.fft.rfft(values - values.mean(axis=1, keepdims=True), axis=1)) ** 2
        power[:, 1 : (length + 1) // 2] *= 2.0  # one side for both; not the mean's bin and not Nyquist's
        grown = np.cumsum(power, axis=1)
        total = grown[:, -1]
        some = ~(total <= 0)
        mean[window] = np.where(some, (power * hertz).sum(axis=1) / np.where(some, total, 1.0), 0.0)
        reached = (grown >= 0.5 * total[:, None]).argmax(axis=1)
        median[window] = np.where(some, hertz[reached], 0.0)
        median[window][~np.isfinite(total)] = np.nan
        mean[window][~np.isfinite(total)] = np.nan
    return mean, median


def feature_function(
    chosen: Sequence[str], rate_hz: float, *, order: int, zc: float, ssc: float
) -> Callable[[Array], Array]:
    """The function `(window, channel, time)` -> `(window, channel * features)` for names of stages/features.py."""
    basic = [name.removeprefix("log_") in _COLUMN for name in chosen]
    spectral = {"mnf", "mdf"} & set(chosen)

    def compute(x: Array) -> Array:
        x = np.ascontiguousarray(x, np.float32)
        times = time_domain(x, zc, ssc) if any(basic) else np.empty((*x.shape[:2], 6), np.float32)
        mean, median = frequencies(x, rate_hz) if spectral else (times[..., 0], times[..., 0])
        parts = []
        for name in chosen:
            if name == "ar":
                parts.append(autoregression(x, order))
            elif name in ("mnf", "mdf"):
                parts.append((mean if name == "mnf" else median)[..., None])
            elif name.startswith("log_"):
                plain = name.removeprefix("log_")
                parts.append(np.log(np.maximum(times[..., _COLUMN[plain], None], np.float32(FLOOR[plain]))))
            else:
                parts.append(times[..., _COLUMN[name], None])
        joined = np.concatenate(parts, axis=2)
        return joined.reshape(len(x), joined.shape[1] * joined.shape[2])

    return compute
