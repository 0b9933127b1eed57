"""MCU project: a run's network as a folder of C that a firmware engineer builds, with windows to prove it on."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from myoflow.backend import load_backend
from myoflow.errors import InputError
from myoflow.pipeline import calibration_of

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array
    from myoflow.engine import Parameters, Segment
    from myoflow.engines.mcu.build import Build
    from myoflow.pipeline import Plan

PROOFS = 4  # windows that `make check` runs


def export_mcu(plan: Plan, network: Segment, parameters: Parameters, backend: str, title: str, to: Path) -> Path:
    """Write the project into the new folder `to`, whole or not at all.

    Raises:
        InputError: the folder is in use, no calibration windows, or a network without an integer form or too big.
    """
    from myoflow.engines.mcu.build import compiled

    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise InputError(f"{to} is in use; name an empty folder for the C project")
    card = load_backend(backend)
    examples = calibration_of(plan, parameters, network.index)
    build = compiled(network, card, parameters, examples)
    draft = to.with_name(f".{to.name}.{uuid.uuid4().hex}")
    draft.mkdir(parents=True)
    try:
        signal, said = _front(draft, build, plan, parameters, network.index)
        _write(draft, build, np.asarray(examples[:PROOFS]), signal)
        (draft / "README.md").write_text(_readme(build, title, plan.output.labels, said), encoding="utf-8")
        if to.exists():
            to.rmdir()
        draft.rename(to)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return to


def _front(folder: Path, build: Build, plan: Plan, parameters: Parameters, index: int) -> tuple[str, str]:
    """Filters, window and scaling, with samples to prove them on; gives their C files, and what is to say of them."""
    from myoflow.engines.mcu import front, reference, toolchain

    assert parameters.calibration is not None
    network = build.network
    try:
        made = front.front(plan, parameters, index, parameters.calibration, float(network.input.scale))
    except InputError as error:
        return "", f"What stands before the network is not in this project: {error}."
    for name, text in front.emit(made).items():
        (folder / name).write_text(text, encoding="utf-8")
    for name in toolchain.SIGNAL:
        shutil.copy(toolchain.native() / name, folder / name)
    rng = np.random.default_rng(0)
    count = made.length + (PROOFS - 1) * made.stride
    loud = float(np.abs(parameters.calibration).std()) / made.step
    noise = rng.standard_normal((made.channels, count)) * rng.uniform(0.3, 3, (made.channels, 1)) * loud
    samples = np.rint(noise + 20 * loud).astype(np.int32)
    windows = made.run(samples)
    done = [windows.reshape(len(windows), *network.input.shape)]
    for layer in network.layers[1:]:
        done.append(reference.compute(layer, [done[i] for i in layer.inputs]))
    (folder / "samples.bin").write_bytes(np.ascontiguousarray(samples.T).tobytes())
    (folder / "expected-scores.bin").write_bytes(done[-1].tobytes())
    stages = ", ".join(step.stage.name for step in plan.steps[:index] if not step.stage.training_only)
    said = (
        f"`pipe_push` (`pipeline.h`) takes raw samples, each `round(x / {made.step:.6g})` in {plan.input.units}, "
        f"through {stages} and the network."
    )
    return "mf_signal.c front.c pipeline.c", said


def _write(folder: Path, build: Build, windows: Array, signal: str) -> None:
    from myoflow.engines.mcu import explain, reference, toolchain

    native = toolchain.native()
    for name in (*toolchain.HEADERS, *toolchain.KERNELS, *toolchain.XPULP):
        shutil.copy(native / name, folder / name)
    shutil.copytree(native / "platform", folder / "platform")
    for name, text in build.sources.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "weights.bin").write_bytes(build.sources.weights)
    (folder / "memory.svg").write_text(explain.memory_map(build), encoding="utf-8")
    network = build.network.at(windows.shape[-1]) if build.network.open else build.network
    done = reference.run(network, windows)
    (folder / "windows.bin").write_bytes(b"".join(network.begin(windows.shape[-1]) + x.tobytes() for x in done[0]))
    (folder / "expected.bin").write_bytes(done[-1].tobytes())
    chip = build.plan.chip
    sizes = f"-DMF_CORES={chip.cores} -DMF_L1={(chip.l1_kib - chip.l1_kept_kib) * 1024}"
    config = f"KERNELS := {' '.join(toolchain.KERNELS)}\nSIZES := {sizes}\nPIPELINE := {signal}\n"
    (folder / "config.mk").write_text(config, encoding="utf-8")
    for name in ("Makefile", "Makefile.sdk"):
        shutil.copy(native / "project" / name, folder / name)


def _readme(build: Build, title: str, labels: tuple[str, ...], said: str) -> str:
    made = build.plan
    fast, slow = build.points
    order = f"\nOutputs, in order: {', '.join(labels)}.\n" if labels else ""
    value, kib = build.network.input, 1024
    size = f"{value.rows} x {value.width}"
    if build.network.open:
        size = f"{value.rows} channels of up to {value.width} samples (an utterance; `net_begin` is told how many)"
    memory = f"values {made.arena / kib:.1f}, parameters of two layers {sum(made.slots) / kib:.1f}"
    return f"""# {title}

Integer C written by myoflow. `network.c` has one function per layer, `mf.h` is the library, `weights.bin` are the
parameters as they lie in L3. `make check` proves on this machine that the code gives the reference's bits.

Input: {size} of int8, each `clip(round(x / {value.scale:.6g}))`.
{said}
{order}
| | |
|---|---|
| L1, of {made.chip.l1_kib} KiB | {made.l1 / kib:.1f} KiB |
| L2, of {made.chip.l2_kib} KiB | {made.l2 / kib:.1f} KiB: {memory} |
| L3 | {made.l3_bytes / kib:.1f} KiB |
| multiply-accumulates a window | {build.macs / 1e6:.1f} million |
| cycles a window, by the model | {made.cycles / 1e6:.1f} million |
| estimate at {fast.mhz:g} MHz, {fast.volt:g} V | {fast.seconds * 1e3:.1f} ms, {fast.millijoules:.2f} mJ +- 30 % |
| estimate at {slow.mhz:g} MHz, {slow.volt:g} V | {slow.seconds * 1e3:.1f} ms, {slow.millijoules:.2f} mJ +- 30 % |

Cycles and energy are modelled, not measured. There is no heap. No function takes more than 512 bytes of stack (the
Makefile has the compiler check that), the deepest chain of calls less than 1 KiB. `memory.svg` shows what lies where in
L2, and when.
"""
