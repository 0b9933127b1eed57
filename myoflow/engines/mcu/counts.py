"""Counts: how many rows every value has, as the C code says it: numbers, or for utterances variables that their length
sets."""

from __future__ import annotations

from attrs import frozen

from myoflow.engines.mcu import layers as q

LENGTH = "n0"

HEADER = """
/* Utterances of any length up to NET_LONGEST samples, each computed alone: no padding, no mask. */
#define NET_LONGEST {longest}
#define NET_CHANNELS {channels}
#define NET_FEATURES {features} /* outputs a frame */

int32_t net_begin(int32_t length); /* the utterance that comes: gives its frames; 0: no samples, or too many */
"""

BEGIN = """
int32_t net_begin(int32_t length)
{{
    if (length < 1 || length > NET_LONGEST)
        return 0;
    measure(length);
    return {out};
}}
"""


@frozen
class Rows:
    """Of one layer, in C: rows of its output, and of what it takes."""

    out: str
    given: tuple[str, ...]


@frozen
class Counts:
    """Of a network: `names` of every value's rows, and `text`, the C that declares and sets them."""

    names: tuple[str, ...]
    inputs: tuple[tuple[int, ...], ...]
    text: str

    def of(self, number: int) -> Rows:
        """Those of layer `number`."""
        return Rows(self.names[number], tuple(self.names[i] for i in self.inputs[number]))


def of(network: q.Network) -> Counts:
    """Plain numbers for windows; for utterances a variable for each number of rows that follows from the length."""
    inputs = tuple(layer.inputs for layer in network.layers)
    if not network.open:
        return Counts(tuple(str(layer.out.rows) for layer in network.layers), inputs, "")
    rules, longest = {LENGTH: "length"}, {LENGTH: network.input.width}
    found: list[tuple[str, int]] = []  # a variable and what is added to it
    names = []
    for layer in network.layers:
        base, more = _law(network, layer, found, rules)
        name = base
        if more:
            name = _variable(f"{base} {'+' if more > 0 else '-'} {abs(more)}", rules)
        longest.setdefault(name, layer.out.rows)
        found.append((base, more))
        names.append(name)
    set_ = "\n".join(f"    {name} = {rule};" for name, rule in rules.items())
    text = f"""/* How many rows values have, for the utterance at hand; for the longest to begin with. */
static int32_t {", ".join(f"{name} = {longest[name]}" for name in rules)};

static void measure(int32_t length)
{{
{set_}
}}
"""
    return Counts(tuple(names), inputs, text)


def _variable(rule: str, rules: dict[str, str]) -> str:
    """The variable of a rule; a new one where there is none."""
    name = next((name for name, known in rules.items() if known == rule), f"n{len(rules)}")
    rules[name] = rule
    return name


def _law(network: q.Network, layer: q.Layer, found: list[tuple[str, int]], rules: dict[str, str]) -> tuple[str, int]:
    """The rows of a layer's output, from those of its input."""
    if isinstance(layer, q.Input):
        return str(layer.out.rows), 0
    source = network.layers[layer.inputs[0]]
    base, more = found[layer.inputs[0]]
    if isinstance(layer, q.Transpose):
        return (LENGTH, 0) if isinstance(source, q.Input) else (str(layer.out.rows), 0)
    if isinstance(layer, q.Pad):
        return base, more + layer.before + layer.after
    if isinstance(layer, q.Linear):
        taps, step = layer.weight.shape[1] // source.out.width, layer.step // source.out.width
        if step == 1:
            return base, more + 1 - taps
        less = taps - more
        return _variable(f"({base} - {less}) / {step} + 1", rules), 0
    return base, more
