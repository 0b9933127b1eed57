"""Ranges: what the values of a captured network are like on calibration windows, and which steps to round them to."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import frozen

from myoflow.engines.mcu import ir
from myoflow.errors import InputError

Floats = npt.NDArray[Any]
BATCH = 8  # calibration windows at a time
ROWS = 1024  # rows of every value that are kept
MOST = 1 << 16  # values that a search looks at
CLIPS = np.concatenate([np.linspace(0.1, 0.7, 13), np.linspace(0.72, 1.0, 15)])  # shares of the largest value tried


@frozen(eq=False)
class Sample:
    """Some rows of one operation's output, and its largest absolute value over all windows."""

    rows: Floats
    largest: float


def observe(graph: ir.Graph, windows: Floats) -> list[Sample]:
    """A Sample of every operation's output, from `windows` `(window, ...)`.

    Raises:
        InputError: a window or a value is not finite.
    """
    import torch

    bad = np.flatnonzero(~np.isfinite(windows).reshape(len(windows), -1).all(1))
    if len(bad):
        raise InputError(
            f"calibration window {bad[0]} of {len(windows)} holds numbers that are not finite; "
            "begin the pipeline with a quality stage and run the recipe again"
        )
    rng = np.random.default_rng(0)
    kept: list[list[Floats]] = [[] for _ in graph]
    largest = [0.0] * len(graph)
    share = max(1, -(-ROWS * BATCH // len(windows)))  # rows of a batch
    with torch.inference_mode():
        for start in range(0, len(windows), BATCH):
            batch = torch.from_numpy(np.array(windows[start : start + BATCH], np.float32))
            for place, value in enumerate(ir.evaluate(graph, batch)):
                flat = value.flatten(0, 1).numpy()
                peak = float(np.abs(flat).max())
                if not np.isfinite(peak):
                    raise InputError(f"{graph[place].name} gives numbers that are not finite on calibration windows")
                largest[place] = max(largest[place], peak)
                chosen = rng.choice(len(flat), min(share, len(flat)), replace=False)
                kept[place].append(flat[chosen])
    return [Sample(np.concatenate(rows), peak) for rows, peak in zip(kept, largest, strict=True)]


def some(values: Floats) -> Floats:
    """At most MOST of the values, evenly spread."""
    flat = values.reshape(-1)
    return flat[:: max(1, len(flat) // MOST)].astype(np.float64)


def step(values: Floats, levels: int = 127) -> float:
    """The symmetric step with the least squared error: clipping the rare against rounding the many."""
    flat = some(values)
    peak = float(np.abs(flat).max()) if len(flat) else 0.0
    if peak == 0:
        return 1.0 / levels
    steps = peak * CLIPS / levels
    losses = [np.mean((np.clip(np.rint(flat / s), -levels - 1, levels) * s - flat) ** 2) for s in steps]
    return float(steps[int(np.argmin(losses))])


def span(values: Floats, least: float | None = None) -> tuple[float, int]:
    """Step and zero of 256 levels for values that are not symmetric; 0 is one of the levels exactly."""
    flat = some(values)
    low = min(float(flat.min()) if least is None else least, 0.0)
    peak = max(float(flat.max()), 0.0)
    if peak == low:
        return 1.0 / 127, 0
    best = (np.inf, 1.0, 0)
    for share in CLIPS:
        size = (peak * share - low) / 255
        zero = int(np.clip(np.rint(-128 - low / size), -128, 127))
        back = (np.clip(np.rint(flat / size) + zero, -128, 127) - zero) * size
        best = min(best, (float(np.mean((back - flat) ** 2)), size, zero))
    return best[1], best[2]


def index_span(values: Floats, function: Any, out: tuple[float, int]) -> tuple[float, int]:
    """Step and zero of a table's index, with the least error behind the function.

    Below about -4 a GELU is 0 whatever its argument, so the levels are better spent elsewhere; this finds out.
    """
    import torch

    flat = some(values)[::4]
    size, zero = out

    def after(x: Floats) -> Floats:
        y = function(torch.from_numpy(x)).numpy()
        back: Floats = (np.clip(np.rint(y / size) + zero, -128, 127) - zero) * size
        return back

    wanted = function(torch.from_numpy(flat)).numpy()
    low, high = min(float(flat.min()), 0.0), max(float(flat.max()), 0.0)
    best = (np.inf, 1.0, 0)
    for below in (1.0, 0.8, 0.6, 0.45, 0.3, 0.2, 0.1):
        for above in (1.0, 0.9, 0.8, 0.65, 0.5):
            width = (high * above - low * below) / 255 or 1.0 / 127
            middle = int(np.clip(np.rint(-128 - low * below / width), -128, 127))
            index = np.clip(np.rint(flat / width) + middle, -128, 127)
            loss = float(np.mean((after((index - middle) * width) - wanted) ** 2))
            best = min(best, (loss, width, middle))
    return best[1], best[2]
