"""The cluster program for GVSoC: it links into PULP-open's memories, and gives the reference's bits where GVSoC is."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines.mcu import nets

from myoflow.backend import load_backend
from myoflow.engines.mcu import emit, lanes, plan, reference, toolchain
from myoflow.engines.mcu.simulated import CONTROLLER_STACK, WORKER_STACK, Simulated
from myoflow.errors import MyoflowError

CHIP = load_backend("gap9").chip
elffile = pytest.importorskip("elftools.elf.elffile")
pytestmark = pytest.mark.skipif(toolchain.riscv_compiler() is None, reason="needs a RISC-V compiler")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Simulated]:
    network = nets.made(nets.tinymyo(), nets.windows(2, 100))[1]
    sources = emit.emit(network, plan.plan(network, CHIP), "test")
    return network, Simulated(network, sources, CHIP, tmp_path_factory.mktemp("pulp"))


def test_everything_lies_where_the_cluster_has_memory(built: tuple[Any, Simulated]) -> None:
    with (built[1].folder / "net.elf").open("rb") as file:
        elf = elffile.ELFFile(file)
        parts = {s.name: (s["sh_addr"], s["sh_addr"] + s["sh_size"]) for s in elf.iter_sections() if s["sh_addr"]}
        table = elf.get_section_by_name(".symtab")
        at = {name: table.get_symbol_by_name(name)[0]["st_value"] for name in ("mf_l1", "controller_stack", "_start")}
        code = elf.get_section_by_name(".text").data()
        assert elf["e_entry"] == at["_start"]
    assert parts[".l1"][0] == 0x10000000 and parts[".l1"][1] <= 0x10000000 + CHIP.l1_kib * 1024
    assert parts[".text"][0] >= 0x1C010000 and parts[".l2"][1] <= 0x1C010000 + CHIP.l2_kib * 1024
    tiles = (CHIP.l1_kib - CHIP.l1_kept_kib) * 1024
    stacks = range(at["controller_stack"] - CONTROLLER_STACK - CHIP.cores * WORKER_STACK, at["controller_stack"])
    assert stacks.stop <= at["mf_l1"] or at["mf_l1"] + tiles <= stacks.start  # tiles and stacks do not meet
    # lp.setup x0 over 24 instructions: the inner product runs without a branch
    words = [int.from_bytes(code[i : i + 4], "little") for i in range(0, len(code) - 3, 2)]
    assert any(word & 0xFFF07FFF == 48 << 20 | 4 << 12 | 0x7B for word in words)


def test_a_board_is_written_with_the_chips_memory(built: tuple[Any, Simulated]) -> None:
    text = (built[1].folder / "pulp_open_large_l1.py").read_text()
    assert "0x20000" in text
    compile(text, "board", "exec")


def test_a_simulator_that_fails_is_told(built: tuple[Any, Simulated], tmp_path: Path, monkeypatch: Any) -> None:
    fake = tmp_path / "gvsoc"
    fake.write_text("#!/bin/sh\necho the board is gone >&2\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(MyoflowError, match="GVSoC ended with 3 and no output: the board is gone"):
        built[1].run(np.zeros(built[0].input.shape, np.int8))


@pytest.mark.slow
@pytest.mark.skipif(lanes.missing("gvsoc") is not None, reason=str(lanes.missing("gvsoc")))
def test_nine_simulated_cores_give_the_references_bits(built: tuple[Any, Simulated]) -> None:
    network, runner = built
    window = reference.quantise(nets.windows(2, 100, 1), network.input)[0].reshape(network.input.shape)
    values = [window[None]]
    for layer in network.layers[1:]:
        values.append(reference.compute(layer, [values[i] for i in layer.inputs]))
    assert np.array_equal(runner.run(window), values[-1][0])
    assert (runner.cycles[1:] > 0).all() and runner.cycles[0] >= runner.cycles[1:].sum()
