"""Front: what stands before the network on the device, from raw samples to its int8 window, in integers.

Filters are sections in direct form I on 28 bits whose rounding error is fed back; the window is a ring of int16;
scaling is affine, or a z-score or a range over the window. The arithmetic is in docs/gap9.md; `Front.run` is its
reference.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from attrs import field, frozen

from myoflow.dsp.scaled import Affine, PerWindow
from myoflow.dsp.sections import Cascade
from myoflow.dsp.windows import Framing
from myoflow.engines.mcu.layers import Ints
from myoflow.engines.mcu.reference import roots
from myoflow.errors import InputError

if TYPE_CHECKING:
    from myoflow.engine import Parameters
    from myoflow.pipeline import Plan, Step

LIMIT = 1 << 27
LEVELS, FINE = 1 << 14, 6  # the ring's levels for the largest calibration sample; bits that filters have more
Floats = npt.NDArray[np.float64]


@frozen(eq=False)
class Front:
    """`step` is the real size of one unit of the raw integers; `sections` (section, 6) times 2^shift, see mf_signal.h.

    `mult`, `offset` per channel and `scale_shift` belong to affine scaling, `gain` and `scale_shift` to the others.
    """

    channels: int
    length: int
    stride: int
    step: float
    sections: Ints
    shift: int
    settled: bool
    scaling: Literal["affine", "zscore", "minmax"]
    pooled: bool
    scale_shift: int
    gain: int = 0
    mult: Ints = field(factory=lambda: np.zeros(0, np.int32))
    offset: Ints = field(factory=lambda: np.zeros(0, np.int64))

    def integers(self, signal: Ints) -> Ints:
        """Real samples `(channel, time)` as the device's int32."""
        return np.clip(np.rint(np.asarray(signal, np.float64) / self.step), -LIMIT, LIMIT).astype(np.int32)

    def run(self, samples: Ints) -> Ints:
        """int8 windows `(window, channel, length)` of raw integers `(channel, time)`: the reference."""
        filtered = self._filter(samples.astype(np.int64))
        ring = np.clip((filtered + (1 << (FINE - 1))) >> FINE, -32768, 32767)
        count = max(0, (samples.shape[1] - self.length) // self.stride + 1)
        found = [self._scale(ring[:, k * self.stride : k * self.stride + self.length]) for k in range(count)]
        return np.stack(found) if found else np.empty((0, self.channels, self.length), np.int8)

    def _filter(self, x: Ints) -> Ints:
        x = np.clip(x, -LIMIT, LIMIT)
        level = x[:, 0] if self.settled else np.zeros(len(x), np.int64)  # of a constant before the first sample
        for c in self.sections.astype(np.int64):
            out = np.empty_like(x)
            x1 = x2 = level
            level = np.clip((c[5] * level + (1 << (self.shift - 1))) >> self.shift, -LIMIT, LIMIT)
            y1 = y2 = level
            rest = np.zeros(len(x), np.int64)
            for t in range(x.shape[1]):
                now = x[:, t]
                total = c[0] * now + c[1] * x1 + c[2] * x2 + c[3] * y1 + c[4] * y2 + rest
                whole = total >> self.shift
                y = np.clip(whole, -LIMIT, LIMIT)
                rest = np.where(y == whole, total - (whole << self.shift), 0)
                x1, x2, y1, y2 = now, x1, y, y1
                out[:, t] = y
            x = out
        return x

    def _scale(self, window: Ints) -> Ints:
        if self.scaling == "affine":
            scaled = (window * self.mult.astype(np.int64)[:, None] + self.offset[:, None]) >> self.scale_shift
            affine: Ints = np.clip(scaled, -128, 127).astype(np.int8)
            return affine
        rows = window.reshape(1, -1) if self.pooled else window
        if self.scaling == "zscore":
            total = rows.sum(1, keepdims=True)
            power = rows.shape[1] * (rows * rows).sum(1, keepdims=True) - total * total
            root, lift = roots(np.maximum(power, 1), 62)
            shift = 49 - lift // 2
            n = ((rows.shape[1] * rows - total) * ((1 << 61) // root) + (np.int64(1) << (shift - 1))) >> shift
            n = np.where(power > 0, n, 0)
        else:
            low, high = rows.min(1, keepdims=True), rows.max(1, keepdims=True)
            over = np.where(high > low, (1 << 30) // np.maximum(high - low, 1), 0)
            n = ((2 * rows - low - high) * over + (1 << 17)) >> 18
        scaled = (n * self.gain + (1 << (self.scale_shift - 1))) >> self.scale_shift
        made: Ints = np.clip(scaled, -128, 127).astype(np.int8).reshape(window.shape)
        return made


def front(plan: Plan, parameters: Parameters, index: int, calibration: Ints, input_step: float) -> Front:
    """Everything before step `index` (the network's first) as a Front.

    `calibration` are windows as they leave the window stage, `input_step` the step of the network's input.

    Raises:
        InputError: a stage without an integer form here, by name.
    """
    parts: dict[str, Any] = {"sections": [], "starts": set(), "frame": None, "scaling": None}
    for step in plan.steps[:index]:
        if not step.stage.training_only:
            _add(parts, step, parameters)
    if parts["frame"] is None:
        raise InputError("the pipeline has no window stage before its network")
    peak = float(np.abs(calibration).max()) or 1.0
    ring = peak / LEVELS
    sections, shift = _fixed(np.concatenate([np.empty((0, 6)), *parts["sections"]]))
    length, stride = parts["frame"]
    common = {
        "channels": plan.input.size("channel"), "length": length, "stride": stride, "step": ring / 2**FINE,
        "sections": sections, "shift": shift, "settled": "first" in parts["starts"],
    }  # fmt: skip
    return Front(**common, **_scaling(parts["scaling"], common["channels"], ring, input_step))


def _add(parts: dict[str, Any], step: Step, parameters: Parameters) -> None:
    """One stage's kernel into what is known so far."""
    stage = step.stage
    failed = InputError(
        f"{stage.name} has no integer form before the network: causal filters, one window stage and a scaling over "
        "window or train behind the filters have; export with --backend onnx, or change the recipe"
    )
    if not stage.on_host():
        raise failed
    state = parameters.states.get(step.index)
    if stage.fits and state is None:
        raise InputError(f"{stage.name} learns from training data and has not been fitted")
    kernel = stage.kernel(step.before, state)
    if isinstance(kernel, Cascade) and parts["frame"] is None and parts["scaling"] is None:
        parts["sections"].append(kernel.sections)
        parts["starts"].add(kernel.start)
        if len(parts["starts"]) > 1:
            raise InputError(f"{stage.name}: filters on the device all start alike; give them one `start`")
    elif isinstance(kernel, Framing) and parts["frame"] is None:
        parts["frame"] = (kernel.length, kernel.stride)
    elif isinstance(kernel, (Affine, PerWindow)) and parts["scaling"] is None:
        parts["scaling"] = kernel
    else:
        raise failed


def _fixed(sos: Floats) -> tuple[Ints, int]:
    """Sections with evened gains as integers and their shift: no section's output is tiny or overflows."""
    if not len(sos):
        return np.zeros((0, 6), np.int32), 30
    turn = np.exp(-1j * np.linspace(0, np.pi, 4097))
    powers = np.stack([np.ones_like(turn), turn, turn**2])
    peaks = np.array([np.abs((s[:3] @ powers) / (s[3:] @ powers)).max() for s in sos])
    even = peaks.prod() ** (1 / len(sos))
    b = sos[:, :3] * (even / peaks)[:, None]
    table = np.column_stack([b, -sos[:, 4:6], b.sum(1) / sos[:, 3:].sum(1)])
    shift = 30 - max(0, math.ceil(math.log2(np.abs(table).max() / 1.999)))
    return np.rint(table * 2.0**shift).astype(np.int32), shift


def _scaling(kernel: Any, channels: int, ring: float, input_step: float) -> dict[str, Any]:
    if isinstance(kernel, PerWindow):
        if kernel.method not in ("zscore", "minmax"):
            raise InputError(f"{kernel.method} over the window has no integer form; zscore and minmax have")
        shift = 12 + 15 - math.ceil(math.log2(1 / input_step))
        gain = round(2.0 ** (shift - 12) / input_step)
        return {"scaling": kernel.method, "pooled": kernel.pooled, "scale_shift": shift, "gain": gain}
    centre, scale = (kernel.centre, kernel.scale) if kernel is not None else (np.zeros(1), np.ones(1))
    centre, scale = (np.broadcast_to(np.ravel(x), (channels,)) for x in (centre, scale))
    ratio = ring / (scale * input_step)
    shift = 30 - math.floor(math.log2(ratio.max())) - 1
    offset = np.rint((0.5 - centre / (scale * input_step)) * 2.0**shift).astype(np.int64)
    mult = np.rint(ratio * 2.0**shift).astype(np.int32)
    return {"scaling": "affine", "pooled": False, "scale_shift": shift, "mult": mult, "offset": offset}


def emit(made: Front) -> dict[str, str]:
    """`front.c`, which makes windows, and `pipeline.c`, which gives them to the network, with their headers."""
    lines = ",\n    ".join("{" + ", ".join(map(str, row)) + "}" for row in made.sections.tolist()) or "{0}"
    count, channels, length = len(made.sections), made.channels, made.length
    if made.scaling == "affine":
        tables = (
            f"static const int32_t mult[CHANNELS] = {{{', '.join(map(str, made.mult.tolist()))}}};\n"
            f"static const int64_t offset[CHANNELS] = {{{', '.join(map(str, made.offset.tolist()))}}};\n"
        )
        each = f"mf_scale_affine(x + c * LENGTH, window + c * LENGTH, LENGTH, mult[c], offset[c], {made.scale_shift})"
        scale = f"    for (int32_t c = 0; c < CHANNELS; c++)\n        {each};"
    else:
        tables, call = "", f"mf_scale_{made.scaling}"
        if made.pooled:
            scale = f"    {call}(x, window, CHANNELS * LENGTH, {made.gain}, {made.scale_shift});"
        else:
            each = f"{call}(x + c * LENGTH, window + c * LENGTH, LENGTH, {made.gain}, {made.scale_shift})"
            scale = f"    for (int32_t c = 0; c < CHANNELS; c++)\n        {each};"
    settle = "        if (seen == 0)\n            mf_settle(sections, SECTIONS, SHIFT, state[c], sample[c]);\n"
    text = _FRONT.format(
        channels=channels, length=length, stride=made.stride, count=max(count, 1), shift=made.shift, lines=lines,
        tables=tables, scale=scale, used=count, settle=settle if made.settled and count else "",
        half=1 << (FINE - 1), fine=FINE,
    )  # fmt: skip
    head = _FRONT_HEADER.format(channels=channels, step=made.step)
    return {"front.c": text, "front.h": head, "pipeline.c": _PIPELINE, "pipeline.h": _HEADER}


_FRONT_HEADER = """/* Raw samples in, windows of int8 out. */
#ifndef FRONT_H
#define FRONT_H

#include <stdint.h>

#ifndef MF_L2
#define MF_L2 /* where the platform wants what lies in L2 */
#endif

#define PIPE_CHANNELS {channels}
#define PIPE_STEP {step!r} /* what one unit of a raw sample is */

/* One sample of every channel, as round(x / PIPE_STEP). Where it completes a window, that goes to `x`; gives 1 then. */
int32_t pipe_window(const int32_t *sample, int8_t *x);
void pipe_begin(void); /* forgets the past */

#endif
"""

_HEADER = """/* Raw samples in, scores out. */
#ifndef PIPELINE_H
#define PIPELINE_H

#include "front.h"
#include "network.h"

/* One sample of every channel, as round(x / PIPE_STEP). Gives NET_OUTPUT scores where a window is complete, or NULL. */
const NET_OUTPUT_TYPE *pipe_push(const int32_t *sample);

#endif
"""

_PIPELINE = """/* From raw samples to scores, written by myoflow. */
#include "pipeline.h"

#include <stddef.h>

const NET_OUTPUT_TYPE *pipe_push(const int32_t *sample)
{
    return pipe_window(sample, net_input()) ? net_run() : NULL;
}
"""

_FRONT = """/* From raw samples to windows, written by myoflow; arithmetic in mf_signal.h and docs/gap9.md. */
#include "front.h"

#include "mf_signal.h"

#define CHANNELS {channels}
#define LENGTH {length}
#define STRIDE {stride}
#define SECTIONS {count}
#define SHIFT {shift}

/* b0, b1, b2, -a1, -a2 and the gain for a constant, times 2^SHIFT. */
static const int32_t sections[SECTIONS][6] = {{
    {lines},
}};
{tables}
static mf_section state[CHANNELS][SECTIONS];
static int16_t ring[CHANNELS][LENGTH] MF_L2;
static int16_t window[CHANNELS * LENGTH] MF_L2; /* the ring, oldest sample first */
static int32_t seen, place, due = LENGTH;

static void gather(int8_t *x)
{{
    for (int32_t c = 0; c < CHANNELS; c++)
        for (int32_t t = 0; t < LENGTH; t++)
            window[c * LENGTH + t] = ring[c][(place + t) % LENGTH];
{scale}
}}

void pipe_begin(void)
{{
    for (int32_t c = 0; c < CHANNELS; c++)
        for (int32_t s = 0; s < SECTIONS; s++)
            state[c][s] = (mf_section){{0}};
    seen = place = 0;
    due = LENGTH;
}}

int32_t pipe_window(const int32_t *sample, int8_t *x)
{{
    for (int32_t c = 0; c < CHANNELS; c++) {{
{settle}        const int32_t y = (mf_filter(sections, {used}, SHIFT, state[c], sample[c]) + {half}) >> {fine};
        ring[c][place] = (int16_t)(y < -32768 ? -32768 : y > 32767 ? 32767 : y);
    }}
    seen = 1;
    place = (place + 1) % LENGTH;
    if (--due > 0)
        return 0;
    due = STRIDE;
    gather(x);
    return 1;
}}
"""
