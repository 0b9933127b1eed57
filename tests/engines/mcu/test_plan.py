"""Plan: nothing overlaps, everything fits, and what does not is said with numbers."""

import attrs
import pytest
from engines.mcu import nets

from myoflow.backend import load_backend
from myoflow.engines.mcu import emit, plan, price
from myoflow.engines.mcu import layers as q
from myoflow.errors import InputError

CHIP = load_backend("gap9").chip


@pytest.fixture(scope="module")
def network() -> q.Network:
    return nets.made(nets.tinymyo(), nets.windows(2, 100))[1]


def test_values_alive_together_do_not_overlap(network: q.Network) -> None:
    made = plan.plan(network, CHIP)
    for i, one in enumerate(made.buffers):
        for j in range(i + 1, len(made.buffers)):
            two = made.buffers[j]
            apart = one.offset + one.bytes <= two.offset or two.offset + two.bytes <= one.offset
            taken_over = one.last == two.first and one.offset == two.offset and two.bytes == one.bytes
            assert apart or one.last < two.first or taken_over, (network.layers[i].name, network.layers[j].name)
    assert made.arena < sum(buffer.bytes for buffer in made.buffers) / 4


def test_tiles_fill_the_cores(network: q.Network) -> None:
    made = plan.plan(network, CHIP)
    for layer, tiles in zip(network.layers, made.tiles, strict=True):
        assert tiles.l1 <= (CHIP.l1_kib - CHIP.l1_kept_kib) * 1024
        if layer.kind in ("linear", "attention"):
            assert tiles.rows % (2 * CHIP.cores) == 0 or tiles.rows == layer.out.rows


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"l2_kib": 8, "l2_kept_kib": 0}, r"KiB of L2 and 8 KiB are free: \d+ KiB too much, at tinymyo.*would fit"),
        (
            {"l1_kib": 1, "l1_kept_kib": 0},
            r"tinymyo.* needs [\d.]+ KiB of L1 for its smallest tile .*l1_kib: \d+, fits",
        ),
        ({"l3_kib": 1}, r"the parameters take \d+ KiB and L3 has 1 KiB: \d+ KiB too much"),
    ],
)
def test_what_does_not_fit_is_said_with_numbers(network: q.Network, change: dict[str, int], said: str) -> None:
    with pytest.raises(InputError, match=said):
        plan.plan(network, attrs.evolve(CHIP, **change))


def test_parameters_lie_where_the_plan_says(network: q.Network) -> None:
    made = plan.plan(network, CHIP)
    data = emit.weights(network)
    assert len(data) == made.l3_bytes
    for layer, start in zip(network.layers, made.l3, strict=True):
        if isinstance(layer, q.Linear):
            assert data[start : start + layer.weight.nbytes] == layer.weight.tobytes()


def test_energy_is_the_published_one_at_the_published_time() -> None:
    fast, slow = price.points(0.785 * 370e6, CHIP)
    assert fast.seconds == pytest.approx(0.785) and fast.millijoules == pytest.approx(44.89, abs=0.03)
    assert slow.milliwatts == pytest.approx(57.18 * 240 / 370 * (0.65 / 0.8) ** 2)


def test_names_in_c_are_unique_and_readable(network: q.Network) -> None:
    names = emit.identifiers(network)
    assert len(set(names)) == len(names)
    assert "block0_attn_query" in names and all(name.isidentifier() for name in names)


# What GVSoC counted for layers of TinyMyo 8 x 1000, trained on UCI (docs/results.md), in thousands of cycles.
COUNTED = {
    "embed": 299.5, "norm1": 313.6, "query": 1077.3, "value": 916.0, "attn": 4788.0, "proj": 941.7, "fc1": 3698.8,
    "fc2": 3077.2,
}  # fmt: skip


def test_the_model_gives_what_the_simulator_counted() -> None:
    """Sizes and kinds of layers decide, not weights."""
    module = nets.tinymyo(8, 50, 192, 3)
    network = nets.made(module, nets.windows(8, 1000, 2))[1]
    made = plan.plan(network, CHIP)
    told = dict(zip((layer.name.split(".")[-1] for layer in network.layers), made.by_layer, strict=True))
    for name, counted in COUNTED.items():
        assert told[name] / 1e3 == pytest.approx(counted, rel=0.05), name


def test_a_layer_waits_for_parameters_that_come_later_than_the_layer_before_ends() -> None:
    found = [price.Cycles(0, 0, 0), price.Cycles(1000, 10, 200), price.Cycles(400, 500, 1600), price.Cycles(50, 0, 500)]
    assert price.by_layer(found) == [0, 1200, 1100, 50]
