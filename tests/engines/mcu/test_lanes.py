"""C on the host and on an emulated RISC-V core gives the reference's bits, layer for layer."""

import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from engines.mcu import nets

from myoflow.backend import load_backend
from myoflow.engines.mcu import emit, lanes, plan, reference, toolchain
from myoflow.engines.mcu import layers as q
from myoflow.engines.mcu.runner import Runner
from myoflow.errors import MyoflowError

CHIP = load_backend("gap9").chip
SMALL = attrs.evolve(CHIP, l1_kib=24)  # so little that every layer is cut, and keys do not stay
NETS = {
    "rotary": (nets.tinymyo, 2, 100),
    "no positions, odd sizes": (lambda: nets.tinymyo(3, 7, 18, 3, positions="none"), 3, 140),
    "long": (lambda: nets.tinymyo(4, 40, 16, 1), 4, 800),
    "stem": (lambda: nets.spread(nets.Stem()), 3, 41),
}


def differing(network: q.Network, runner: Runner, integers: np.ndarray) -> list[str]:
    """Layers whose output is not the reference's, over windows of input integers."""
    wanted = [integers]
    for layer in network.layers[1:]:
        wanted.append(reference.compute(layer, [wanted[i] for i in layer.inputs]))
    found = []
    seen: list[int] = []
    for number, window in enumerate(integers):
        seen.clear()

        def watch(place: int, data: bytes, number: int = number) -> None:
            layer = network.layers[place]
            got = np.frombuffer(data, layer.out.dtype).reshape(layer.out.shape)
            seen.append(place)
            if not np.array_equal(got, wanted[place][number]):
                found.append(layer.name)

        out = runner.run(window, watch)
        assert seen == list(range(1, len(network.layers)))
        assert np.array_equal(out, wanted[-1][number])
    return found


@pytest.fixture(scope="module", params=list(NETS))
def network(request: pytest.FixtureRequest) -> q.Network:
    make, channels, time = NETS[request.param]
    return nets.made(make(), nets.windows(channels, time))[1]


@pytest.mark.parametrize("chip", [CHIP, SMALL], ids=["gap9", "14 KiB of L1 free"])
def test_host_c_equals_the_reference_on_every_bit(network: q.Network, chip: Any, tmp_path: Path) -> None:
    sources = emit.emit(network, plan.plan(network, chip), "test")
    runner = lanes.build("host", network, sources, chip, tmp_path)
    value = network.input
    real = np.random.default_rng(5).standard_normal((6, *value.shape))
    integers = np.concatenate([nets.adversarial(value.shape), reference.quantise(real, value)])
    assert differing(network, runner, integers) == []


def test_keys_that_do_not_fit_pass_in_tiles() -> None:
    network = nets.made(nets.tinymyo(4, 40, 16, 1), nets.windows(4, 800))[1]
    place = next(i for i, layer in enumerate(network.layers) if layer.kind == "attention")
    assert plan.plan(network, CHIP).tiles[place].across == 160
    assert plan.plan(network, SMALL).tiles[place].across < 160


@pytest.mark.skipif(lanes.missing("rv32") is not None, reason=str(lanes.missing("rv32")))
def test_a_whole_window_on_emulated_riscv(tmp_path: Path) -> None:
    network = nets.made(nets.tinymyo(), nets.windows(2, 100))[1]
    sources = emit.emit(network, plan.plan(network, CHIP), "test")
    runner: Any = lanes.build("rv32", network, sources, CHIP, tmp_path)
    value = network.input
    integers = np.concatenate([nets.adversarial(value.shape), reference.quantise(nets.windows(2, 100, 1), value)])
    assert differing(network, runner, integers) == []
    assert 0 < runner.stack <= 1024


@pytest.mark.skipif(lanes.missing("qemu") is not None, reason=str(lanes.missing("qemu")))
def test_a_whole_window_in_qemu(tmp_path: Path) -> None:
    network = nets.made(nets.tinymyo(), nets.windows(2, 100))[1]
    runner = lanes.build("qemu", network, emit.emit(network, plan.plan(network, CHIP), "test"), CHIP, tmp_path)
    assert differing(network, runner, nets.adversarial(network.input.shape)) == []
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(MyoflowError, match="QEMU ended with 2 after 0 layers"):
        runner.run(np.zeros(network.input.shape, np.int8))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ziglang") is None, reason="needs ziglang")
@pytest.mark.parametrize("lane", ["host", "rv32"])
def test_a_machine_without_a_c_compiler_needs_but_pip(lane: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    assert toolchain.is_zig(toolchain.host_compiler() or []) and toolchain.is_zig(toolchain.riscv_compiler() or [])
    network = nets.made(nets.tinymyo(), nets.windows(2, 100))[1]
    sources = emit.emit(network, plan.plan(network, CHIP), "test")
    runner = lanes.build(lane, network, sources, CHIP, tmp_path)
    assert differing(network, runner, nets.adversarial(network.input.shape)[:3]) == []


def test_address_and_undefined_behaviour_sanitizers_find_nothing(tmp_path: Path) -> None:
    compiler = toolchain.host_compiler()
    if compiler is None or toolchain.is_zig(compiler):
        pytest.skip("needs gcc or clang")
    network = nets.made(nets.tinymyo(), nets.windows(2, 100))[1]
    made = plan.plan(network, CHIP)
    sources = emit.emit(network, made, "test")
    for name, text in sources.files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "weights.bin").write_bytes(sources.weights)
    (tmp_path / "main.c").write_text(MAIN)
    path, native = tmp_path / "checked", toolchain.native()
    kernels = [native / name for name in (*toolchain.KERNELS, "platform/plain.c")]
    words = [
        "-g",
        "-O1",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
        f"-I{native}",
        f"-DMF_L1={made.l1}",
    ]
    toolchain.compile_c(compiler, [tmp_path / "network.c", tmp_path / "main.c", *kernels], path, words)
    done = subprocess.run([path], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include "network.h"
extern const uint8_t *mf_l3;
int main(void)
{
    uint8_t *weights = malloc(NET_L3);
    FILE *file = fopen("weights.bin", "rb");
    if (!weights || !file || fread(weights, 1, NET_L3, file) != NET_L3)
        return 2;
    mf_l3 = weights;
    for (int window = 0; window < 4; window++) {
        for (int i = 0; i < NET_INPUT; i++)
            net_input()[i] = (int8_t)(window == 0 ? -128 : window == 1 ? 127 : i * 37 * window);
        net_run();
    }
    free(weights);
    return fclose(file);
}
"""


def test_what_a_lane_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain.shutil, "which", lambda name: None)
    monkeypatch.setattr(toolchain, "_zig", lambda: None)
    monkeypatch.delenv("GAP_SDK_HOME", raising=False)
    assert "no C compiler: install gcc" in str(lanes.missing("host"))
    assert "myoflow[mcu]" in str(lanes.missing("rv32"))
    assert "pulp-open" in str(lanes.missing("gvsoc"))
    assert "GAP_SDK_HOME" in str(lanes.missing("sdk"))


def test_code_that_does_not_compile_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "wrong.c").write_text("int main(void) { return x; }\n")
    with pytest.raises(MyoflowError, match=r"does not compile the network: .*wrong\.c:1") as caught:
        toolchain.compile_c(toolchain.host_compiler() or [], [tmp_path / "wrong.c"], tmp_path / "out", [])
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.skipif(lanes.missing("rv32") is not None, reason=str(lanes.missing("rv32")))
def test_twenty_windows_of_the_published_size_on_emulated_riscv(tmp_path: Path) -> None:
    """Width 192, 3 heads, 8 x 200: two of the eight layers, which are all alike."""
    network = nets.made(nets.tinymyo(8, 10, 192, 3), nets.windows(8, 200, 8))[1]
    sources = emit.emit(network, plan.plan(network, CHIP), "test")
    runner = lanes.build("rv32", network, sources, CHIP, tmp_path)
    integers = reference.quantise(nets.windows(8, 200, 13, seed=1), network.input)
    assert differing(network, runner, np.concatenate([nets.adversarial(network.input.shape), integers])) == []
