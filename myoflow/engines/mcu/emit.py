"""Emit: a planned network as C11 that a person can read, one function per layer, and its parameters as one file."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from attrs import frozen

from myoflow.engines.mcu import counts
from myoflow.engines.mcu import layers as q
from myoflow.engines.mcu.plan import MemoryPlan, parameter_bytes

C_TYPE = {"int8": "int8_t", "int16": "int16_t", "int32": "int32_t"}
EPILOGUES = {"int8": "MF_INT8", "rotary": "MF_ROTARY", "int16": "MF_INT16", "int32": "MF_INT32"}


@frozen
class Sources:
    """Texts by file name, and the parameters as they lie in L3."""

    files: dict[str, str]
    weights: bytes


def emit(network: q.Network, plan: MemoryPlan, title: str) -> Sources:
    """`network.c`, `network.h` and the parameters."""
    names, rows = identifiers(network), counts.of(network)
    body = [_head(network, plan, title), _memory(network, plan, names)]
    body += [rows.text] if network.open else []
    body += [_function(network, plan, number, names, rows) for number in range(1, len(network.layers))]
    body.append(_run(network, plan, names, rows))
    return Sources({"network.c": "\n".join(body), "network.h": _header(network, plan, title)}, weights(network))


def weights(network: q.Network) -> bytes:
    """Every layer's tables, each padded to a multiple of 8 bytes, little-endian."""
    parts = []
    for layer in network.layers:
        for _, table in layer.parameters:
            data = np.ascontiguousarray(table).astype(table.dtype.newbyteorder("<")).tobytes()
            parts.append(data + bytes(-len(data) % 8))
    return b"".join(parts)


def identifiers(network: q.Network) -> list[str]:
    """A C name for every layer: its path without what all share, unique."""
    names: list[str] = []
    for layer in network.layers:
        text = layer.name if layer.name else layer.kind
        plain = re.sub(r"\W+", "_", re.sub(r"^[a-z_0-9]+\.(?=.)", "", text)).strip("_") or layer.kind
        plain = re.sub(r"blocks?_(\d+)", r"block\1", plain)
        if layer.kind in ("table", "pad", "transpose", "mean", "add_rows", "add") and not plain.endswith(layer.kind):
            plain = f"{plain}_{layer.kind}"
        plain = f"layer_{plain}" if plain[0].isdigit() else plain
        name, count = plain, 2
        while name in names:
            name, count = f"{plain}_{count}", count + 1
        names.append(name)
    return names


def _head(network: q.Network, plan: MemoryPlan, title: str) -> str:
    first, last = network.input, network.output
    return f"""/* {title}
 *
 * Written by myoflow; the operators are in mf.h, their arithmetic is specified in docs/gap9.md.
 * Input {_shape(first)}, {_told(first)}; output {_shape(last)}, {_told(last)}.
 * {len(network.layers) - 1} layers; L1 {plan.l1} bytes, L2 {plan.l2} bytes (values {plan.arena}, parameters of two
 * layers {plan.slots[0]} + {plan.slots[1]}), L3 {plan.l3_bytes} bytes.
 * By the model {plan.cycles / 1e6:.1f} million cycles. */
#include "network.h"

#include "mf.h"
"""


def _shape(value: q.Value) -> str:
    rows, width = value.shape
    return f"({rows}, {width}) {value.dtype}"


def _told(value: q.Value) -> str:
    scale = np.asarray(value.scale)
    span = f"{scale.min():.4g}" if scale.min() == scale.max() else f"{scale.min():.4g} to {scale.max():.4g} a head"
    return f"step {span}" + (f", zero {value.zero}" if value.zero else "")


def _memory(network: q.Network, plan: MemoryPlan, names: list[str]) -> str:
    lines = [
        f"static uint8_t slot_0[{plan.slots[0]}] __attribute__((aligned(16))) MF_L2;",
        f"static uint8_t slot_1[{plan.slots[1]}] __attribute__((aligned(16))) MF_L2;",
        f"static uint8_t arena[{plan.arena}] __attribute__((aligned(16))) MF_L2;",
        "",
        "/* Values, their places in the arena, and the layers between which they are alive. */",
    ]
    for number, (layer, buffer) in enumerate(zip(network.layers, plan.buffers, strict=True)):
        kind = C_TYPE[layer.out.dtype]
        lines.append(
            f"static {kind} *const {names[number]} = ({kind} *)(void *)(arena + {buffer.offset}); "
            f"/* {_shape(layer.out)}, {buffer.first} to {buffer.last} */"
        )
    return "\n".join(lines) + "\n"


def _function(network: q.Network, plan: MemoryPlan, number: int, names: list[str], rows: counts.Counts) -> str:
    layer, tiles = network.layers[number], plan.tiles[number]
    given = [names[i] for i in layer.inputs]
    fields, call = WRITERS[type(layer)](network, layer, tiles, given, names[number], rows.of(number))
    about = _about(network, plan, number)
    text = f"{about}\nstatic void run_{names[number]}(const uint8_t *slot)\n{{\n"
    if fields:
        kept = "" if network.open else "static "  # of utterances, rows are known when one comes
        text += f"    {kept}const mf_{_struct(layer)} layer = {{\n{_wrapped(fields)}\n    }};\n"
    if not layer.parameters:
        text += "    (void)slot;\n"
    return text + f"    {call};\n}}\n"


def _about(network: q.Network, plan: MemoryPlan, number: int) -> str:
    layer, tiles = network.layers[number], plan.tiles[number]
    sources = " and ".join(f"{_shape(network.layers[i].out)}" for i in layer.inputs)
    cut = f"; tiles of {tiles.rows}" + (f" x {tiles.across}" if tiles.across else "") if tiles.l1 else ""
    memory = f"{cut}, {tiles.l1} bytes of L1" if tiles.l1 else ""
    size = parameter_bytes(layer)
    return (
        f"/* {number}. {layer.name or layer.kind}: {layer.kind}, {sources} -> {_shape(layer.out)}, {_told(layer.out)}\n"
        f" * {size} bytes of parameters{memory}; {plan.by_layer[number] / 1e3:.0f} thousand cycles */"
    )


def _struct(layer: q.Layer) -> str:
    return {"add_rows": "add"}.get(layer.kind, layer.kind)


def _wrapped(fields: dict[str, Any]) -> str:
    lines, line = [], "       "
    for key, value in fields.items():
        text = f" .{key} = {value},"
        if len(line) + len(text) > 100:
            lines.append(line)
            line = "       "
        line += text
    return "\n".join([*lines, line])


Written = tuple[dict[str, Any], str]


def _linear(net: q.Network, layer: q.Linear, tiles: Any, given: list[str], out: str, rows: counts.Rows) -> Written:
    epilogue = "MF_TABLE" if layer.table is not None else EPILOGUES[layer.epilogue]
    fields: dict[str, Any] = {"epilogue": epilogue, "rows": rows.out, "taps": layer.weight.shape[1]}
    fields |= {"out": layer.out.width, "step": layer.step, "tile_rows": tiles.rows, "tile_out": tiles.across}
    fields |= {"shift": layer.shift, "zero": layer.zero, "lead": layer.lead}
    if layer.turn is not None:
        fields["period"] = len(layer.turn)
    if layer.out.transposed:
        fields["transposed"] = 1
    other = given[1] if len(given) > 1 else "NULL"
    return fields, f"mf_run_linear(&layer, slot, {given[0]}, {other}, {out})"


def _attention(
    net: q.Network, layer: q.Attention, tiles: Any, given: list[str], out: str, rows: counts.Rows
) -> Written:
    fields = {"rows": rows.out, "keys": rows.given[1], "heads": layer.heads, "size": layer.out.width // layer.heads}
    fields |= {"tile_rows": tiles.rows, "tile_keys": tiles.across, "shift": layer.shift}
    return fields, f"mf_run_attention(&layer, slot, {', '.join(given)}, {out})"


def _norm(net: q.Network, layer: q.Norm, tiles: Any, given: list[str], out: str, rows: counts.Rows) -> Written:
    fields = {"rows": rows.out, "width": layer.out.width, "tile_rows": tiles.rows, "shift": layer.shift}
    low, high = layer.floor & 0xFFFFFFFF, layer.floor >> 32
    fields |= {"floor_low": low - (1 << 32) if low >= 1 << 31 else low, "floor_high": high}
    if layer.out.dtype == "int16":
        fields["wide"] = 1
    return fields, f"mf_run_norm(&layer, slot, {given[0]}, {out})"


def _table(net: q.Network, layer: q.Table, tiles: Any, given: list[str], out: str, rows: counts.Rows) -> Written:
    fields = {"rows": rows.out, "width": layer.out.width, "tile_rows": tiles.rows, "mult": layer.mult}
    fields |= {"shift": layer.shift, "offset": layer.offset, "zero": layer.zero}
    fields |= {"wide_in": int(net.layers[layer.inputs[0]].out.dtype == "int16")}
    fields |= {"wide_out": int(layer.out.dtype == "int16")}
    return fields, f"mf_run_table(&layer, slot, {given[0]}, {out})"


def _mean(net: q.Network, layer: q.Mean, tiles: Any, given: list[str], out: str, rows: counts.Rows) -> Written:
    fields = {"rows": rows.out, "width": layer.out.width, "group": layer.group, "tile_rows": tiles.rows}
    fields |= {"mult": layer.mult, "shift": layer.shift, "offset": layer.offset}
    fields |= {"wide": int(net.layers[layer.inputs[0]].out.dtype == "int16")}
    return fields, f"mf_run_mean(&layer, {given[0]}, {out})"


def _add(
    net: q.Network, layer: q.Add | q.AddRows, tiles: Any, given: list[str], out: str, rows: counts.Rows
) -> Written:
    fields = {"rows": rows.out, "width": layer.out.width, "tile_rows": tiles.rows}
    if isinstance(layer, q.AddRows):
        fields["groups"] = len(layer.constant)
        return fields, f"mf_run_add(&layer, (const int16_t *)(const void *)slot, {given[0]}, NULL, {out})"
    return fields, f"mf_run_add(&layer, NULL, {given[0]}, {given[1]}, {out})"


def _pad(net: q.Network, layer: q.Pad, tiles: Any, given: list[str], out: str, rows: counts.Rows) -> Written:
    source = net.layers[layer.inputs[0]].out
    size = source.width * q.BYTES[source.dtype]
    return {}, (
        f"mf_run_pad((uint8_t *){out}, (const uint8_t *){given[0]}, {rows.given[0]}, {size}, {layer.before}, "
        f"{layer.after}, {layer.fill})"
    )


def _transpose(
    net: q.Network, layer: q.Transpose, tiles: Any, given: list[str], out: str, rows: counts.Rows
) -> Written:
    return {}, f"mf_run_transpose({out}, {given[0]}, {rows.given[0]}, {rows.out})"


WRITERS: dict[type[q.Layer], Callable[..., Written]] = {
    q.Linear: _linear, q.Attention: _attention, q.Norm: _norm, q.Table: _table, q.Mean: _mean, q.Add: _add,
    q.AddRows: _add, q.Pad: _pad, q.Transpose: _transpose,
}  # fmt: skip


def _run(network: q.Network, plan: MemoryPlan, names: list[str], rows: counts.Counts) -> str:
    steps = []
    for n, layer in enumerate(network.layers):
        size = layer.out.bytes // layer.out.rows if network.open else layer.out.bytes
        count = f", &{rows.of(n).out}" if network.open else ""
        here = f"{plan.l3[n]}, {parameter_bytes(layer)}, {plan.buffers[n].offset}, {size}{count}"
        steps.append(f"    {{run_{names[n]}, {here}}},")
    begin = counts.BEGIN.format(out=rows.of(len(names) - 1).out) if network.open else ""
    return _RUN.format(
        steps="\n".join(steps[1:]), input=names[0], output=names[-1], kind=C_TYPE[network.output.dtype], begin=begin,
        bytes="bytes of its parameters in L3, place of its output in L2, bytes of a row of it, how many rows"
        if network.open else "bytes of its parameters in L3 and of its output in L2",
        rows="\n    const int32_t *rows;" if network.open else "",
        size="(uint32_t)*steps[i].rows * steps[i].output_bytes" if network.open else "steps[i].output_bytes",
    )  # fmt: skip


_RUN = """/* Layers in order: function, place and {bytes}. */
typedef struct {{
    void (*run)(const uint8_t *slot);
    uint32_t parameters, bytes, output, output_bytes;{rows}
}} step;

static const step steps[] = {{
{steps}
}};

int8_t *net_input(void)
{{
    return {input};
}}
{begin}
/* The parameters of a layer come while the layer before it works. */
const {kind} *net_run(void)
{{
    static uint8_t *const slots[2] = {{slot_0, slot_1}};
    const int count = (int)(sizeof steps / sizeof steps[0]);

    mf_l3_start(slots[0], steps[0].parameters, steps[0].bytes);
    for (int i = 0; i < count; i++) {{
        mf_l3_wait();
        if (i + 1 < count && steps[i + 1].bytes)
            mf_l3_start(slots[(i + 1) & 1], steps[i + 1].parameters, steps[i + 1].bytes);
        steps[i].run(slots[i & 1]);
        mf_trace(i + 1, arena + steps[i].output, {size});
    }}
    return {output};
}}
"""


def _header(network: q.Network, plan: MemoryPlan, title: str) -> str:
    first, last = network.input, network.output
    told = counts.HEADER.format(longest=first.width, channels=first.rows, features=last.width) if network.open else ""
    many = "of the longest utterance" if network.open else ""
    return f"""/* {title}: the network. */
#ifndef NETWORK_H
#define NETWORK_H

#include <stdint.h>

#ifndef MF_L2
#define MF_L2 /* where the platform wants what lies in L2 */
#endif

#define NET_INPUT {first.rows * first.width}{f" /* {many} */" if many else ""}
#define NET_OUTPUT {last.rows * last.width}{f" /* {many} */" if many else ""}
#define NET_OUTPUT_TYPE {C_TYPE[last.dtype]}
#define NET_OUTPUT_BYTES {last.bytes}
#define NET_INPUT_STEP {float(first.scale)!r}
#define NET_OUTPUT_STEP {float(last.scale)!r}
#define NET_L3 {plan.l3_bytes}
{told}
int8_t *net_input(void); /* where the input goes, one channel after another: clip(round(x / NET_INPUT_STEP)) */
const {C_TYPE[last.dtype]} *net_run(void); /* outputs, each times NET_OUTPUT_STEP */

#endif
"""
