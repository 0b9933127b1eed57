"""Explain: what a report says of a compiled network, as plain tables and drawings."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from myoflow.engines.mcu.plan import parameter_bytes
from myoflow.engines.mcu.price import BAND

if TYPE_CHECKING:
    from myoflow.engines.mcu.build import Build

PUBLISHED_S, PUBLISHED_MJ = 0.785, 44.91  # TinyMyo on GAP9, 8 channels of 1000 samples (arXiv 2512.15729)
PUBLISHED_MACS = 1.921e9  # of that network, as its code counts them

KINDS = {"int8": (210, "values of int8"), "int16": (30, "int16"), "int32": (130, "int32"), "": (320, "parameters")}


def sections(build: Build, backend: str, rate_hz: float) -> list[dict[str, Any]]:
    """Sections of a report: title, text, tables and figures, as JSON values; `rate_hz` is that of the input."""
    made, chip = build.plan, build.plan.chip
    item, each = "window", "One window."
    if build.network.open:
        seconds = build.network.input.width / rate_hz
        item, each = "utterance of the longest kind", f"One utterance of {seconds:.1f} s, the longest that may come."
    text = (
        f"All of it in integers; the C code gives the bits of the NumPy reference. {len(build.rows) - 1} layers, "
        f"{build.macs / 1e6:.1f} million multiply-accumulates (MAC) for one {item}. Cycles are modelled, energy is an "
        f"estimate within {BAND:.0%}: power as published for one chip and network, scaled by frequency and voltage. "
        'What integers change in the scores is under "Backends against torch in float32".'
    )
    memory = [
        ["L1", f"{made.l1 / 1024:.1f} KiB", f"{chip.l1_kib - chip.l1_kept_kib} KiB"],
        ["L2, values", f"{made.arena / 1024:.1f} KiB", ""],
        ["L2, parameters of two layers", f"{sum(made.slots) / 1024:.1f} KiB", ""],
        ["L2 in all", f"{made.l2 / 1024:.1f} KiB", f"{chip.l2_kib - chip.l2_kept_kib} KiB"],
        ["L3, all parameters", f"{made.l3_bytes / 1024:.1f} KiB", f"{chip.l3_kib} KiB"],
    ]
    return [
        {
            "title": f"On the chip: {backend}",
            "text": text,
            "tables": [
                {"columns": ["", "million MAC", "cycles", "latency", "energy"], "rows": _prices(build),
                 "caption": f"{each} The published network is TinyMyo with 8 channels of 1000 samples."},
                {"columns": ["memory", "used", "free for it"], "rows": memory, "caption": ""},
                {"columns": ["layer", "kind", "output", "range", "SNR dB", "saturated", "kilocycles", "L1 KiB",
                             "parameters KiB"], "rows": _layers(build),
                 "caption": "Range in float32, signal-to-noise ratio and saturation on calibration windows."},
            ],
            "figures": [
                {"svg": memory_map(build), "title": "Memory map of L2",
                 "caption": "A box is a value: the layers of its life from left to right, its addresses downwards."}
            ],
        }
    ]  # fmt: skip


def _prices(build: Build) -> list[list[str]]:
    rows = []
    macs, cycles = f"{build.macs / 1e6:.1f}", f"{build.plan.cycles / 1e6:.2f} M"
    for point in build.points:
        energy = f"{point.millijoules:.2f} mJ ± {BAND:.0%}"
        rows.append(
            [f"model, {point.mhz:g} MHz, {point.volt:g} V", macs, cycles, f"{point.seconds * 1e3:.1f} ms", energy]
        )
    published = [f"{PUBLISHED_MACS / 1e6:.0f}", "", f"{PUBLISHED_S * 1e3:g} ms", f"{PUBLISHED_MJ:g} mJ"]
    return [*rows, ["published, measured on GAP9", *published]]


def _layers(build: Build) -> list[list[str]]:
    found = []
    for row, layer in zip(build.rows, build.network.layers, strict=True):
        output = f"{row.shape[0]} × {row.shape[1]} {row.dtype}"
        quality = [f"{row.low:.3g} to {row.high:.3g}", f"{row.snr_db:.1f}", f"{row.saturated:.2%}"]
        sizes = [f"{row.cycles / 1e3:.1f}", f"{row.l1 / 1024:.1f}", f"{parameter_bytes(layer) / 1024:.1f}"]
        found.append([row.name or row.kind, row.kind, output, *quality, *sizes])
    return found


def memory_map(build: Build) -> str:
    """L2 over the layers, as SVG: values in the arena, and the two slots of parameters below it."""
    made, network = build.plan, build.network
    count = len(network.layers)
    wide, high, left, top = 900, 320, 70, 20
    x_of, y_of = (wide - left - 10) / count, (high - top - 40) / made.l2
    boxes = []
    for layer, buffer in zip(network.layers, made.buffers, strict=True):
        last = min(buffer.last, count - 1)
        at = (left + buffer.first * x_of, top + buffer.offset * y_of)
        size = ((last - buffer.first + 1) * x_of, max(buffer.bytes * y_of, 0.5))
        hue = KINDS[layer.out.dtype][0]
        boxes.append(_box(at, size, hue, f"{layer.name or layer.kind}: {layer.out.bytes} bytes at {buffer.offset}"))
    for number in range(1, count):
        slot, size_bytes = (number - 1) % 2, parameter_bytes(network.layers[number])
        at = (left + max(number - 1, 0) * x_of, top + (made.arena + slot * made.slots[0]) * y_of)
        told = f"parameters of {network.layers[number].name}: {size_bytes} bytes"
        boxes.append(_box(at, (2 * x_of, size_bytes * y_of), KINDS[""][0], told))
    words = [
        f'<text x="{left - 6}" y="{top + 8}" text-anchor="end">0</text>',
        f'<text x="{left - 6}" y="{top + made.arena * y_of + 4}" text-anchor="end">{made.arena / 1024:.0f} KiB</text>',
        f'<text x="{left - 6}" y="{high - 36}" text-anchor="end">{made.l2 / 1024:.0f} KiB</text>',
        f'<text x="{left}" y="{high - 18}">layer 0</text>',
        f'<text x="{wide - 10}" y="{high - 18}" text-anchor="end">{count - 1}</text>',
    ]
    body = "".join([*boxes, *words, *_legend(left + 120, high - 12)])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="100%" role="img" '
        f'font-family="sans-serif" font-size="11" fill="currentColor">{body}</svg>'
    )


def _legend(left: float, base: float) -> list[str]:
    """A swatch and a word for each kind of box, from `left` on."""
    found = []
    for hue, word in KINDS.values():
        found.append(_box((left, base - 9), (10, 10), hue, word))
        found.append(f'<text x="{left + 15}" y="{base}">{word}</text>')
        left += 40 + 7 * len(word)
    return found


def _box(at: tuple[float, float], size: tuple[float, float], hue: int, told: str) -> str:
    return (
        f'<rect x="{at[0]:.1f}" y="{at[1]:.1f}" width="{size[0]:.1f}" height="{size[1]:.1f}" '
        f'fill="hsl({hue} 60% 60% / 0.6)" stroke="hsl({hue} 60% 35%)" stroke-width="0.5">'
        f"<title>{escape(told)}</title></rect>"
    )
