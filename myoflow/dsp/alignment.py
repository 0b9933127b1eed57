"""Dynamic time warping: the cheapest monotonic path through a table of costs.

Source: Sakoe and Chiba 1978, with steps down, right and diagonal, all of weight one.
"""

from __future__ import annotations

import numpy as np

from myoflow.dsp.jit import f8, given, i8, jit, made
from myoflow.dsp.kernel import Array
from myoflow.errors import MyoflowError

DIAGONAL, DOWN, RIGHT = 0, 1, 2  # in the order in which ties are decided


@jit(given("f8", 2), made("f8", 1), made("u1", 2), returns=f8)
def _accumulate(cost: Array, total: Array, step: Array) -> float:
    """Least cost of a path to the last cell; `total` is one row of working space, `step` how each cell was reached."""
    rows, columns = cost.shape
    left = 0.0
    for j in range(columns):
        left += cost[0, j]
        total[j] = left
        step[0, j] = 2
    for i in range(1, rows):
        corner = total[0]
        left = corner + cost[i, 0]
        total[0] = left
        step[i, 0] = 1
        for j in range(1, columns):
            above = total[j]
            best, how = corner, 0
            if above < best:
                best, how = above, 1
            if left < best:
                best, how = left, 2
            corner = above
            left = best + cost[i, j]
            total[j] = left
            step[i, j] = how
    return left


@jit(given("u1", 2), made("i8", 2), returns=i8)
def _backtrack(step: Array, path: Array) -> int:
    """Fills `path` `(2, cells)` from its end; gives where it begins."""
    i, j = step.shape[0] - 1, step.shape[1] - 1
    place = path.shape[1] - 1
    path[0, place], path[1, place] = i, j
    while i > 0 or j > 0:
        how = step[i, j]
        if how != 2:
            i -= 1
        if how != 1:
            j -= 1
        place -= 1
        path[0, place], path[1, place] = i, j
    return int(place)


def warp(cost: Array) -> tuple[float, Array]:
    """Cost of the best path through `cost` `(row, column)` from its first to its last cell, and the path.

    The path is `(2, cells)`, rows over columns, both never falling; both end cells count. Of equal paths the one
    that goes diagonally as late as possible is taken.

    Raises:
        MyoflowError: an empty table, or costs that are not finite.
    """
    table = np.ascontiguousarray(cost, np.float64)
    if table.ndim != 2 or 0 in table.shape:
        raise MyoflowError(f"cannot align a table of costs of shape {np.shape(cost)}: both sides need frames")
    if not np.isfinite(table).all():
        bad = np.argwhere(~np.isfinite(table))[0].tolist()
        raise MyoflowError(f"cannot align: the cost of frames {bad[0]} and {bad[1]} is {table[tuple(bad)]}")
    step = np.empty(table.shape, np.uint8)
    total = _accumulate(table, np.empty(table.shape[1]), step)
    path = np.empty((2, sum(table.shape) - 1), np.int64)
    return float(total), path[:, _backtrack(step, path) :]


def partners(cost: Array) -> Array:
    """For every row of `cost` the first column that the best path gives it: `(row,)`.

    What the loss of silent speech wants: one predicted frame (column) for each frame of sound (row); predicted frames
    that no row takes go unused. Source: Gaddy and Klein 2020, arXiv 2010.02960.

    Raises:
        MyoflowError: as `warp`.
    """
    _, (rows, columns) = warp(cost)
    first = np.searchsorted(rows, np.arange(np.shape(cost)[0]))
    return np.asarray(columns[first])
