"""The training loop: it learns, repeats itself bit for bit, resumes as if never stopped, and fails in words."""

from __future__ import annotations

import itertools
import json
import math
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from myoflow.errors import InputError, MyoflowError
from myoflow.nn.encoder import Classifier, Encoder, Patches
from myoflow.progress import Progress
from myoflow.recipe import Train
from myoflow.training import checkpoint, train

torch.set_num_threads(1)
LABELS, WINDOWS, BATCH = 3, 60, 16
STEPS = math.ceil(WINDOWS / BATCH)


@pytest.fixture(autouse=True)
def checkpoint_every_epoch(monkeypatch):
    monkeypatch.setattr(train, "CHECKPOINT_S", 0.0)


def windows(seed: int = 0):
    """Bursts on one of three channels: separable, and not by a single sample."""
    rng = np.random.default_rng(seed)
    y = np.arange(WINDOWS) % LABELS
    x = rng.normal(size=(WINDOWS, LABELS, 20)) * (0.5 + 2.0 * np.eye(LABELS)[y])[:, :, None]
    return x.astype(np.float32), y.astype(np.int16)


def shuffled(batch: int = BATCH):
    x, y = windows()

    def batches(epoch: int):
        order = np.random.default_rng([7, epoch]).permutation(WINDOWS)
        for start in range(0, WINDOWS, batch):
            rows = order[start : start + batch]
            yield x[rows], y[rows]

    return batches


def valid():
    yield windows(1)


def network(dropout: float = 0.1) -> torch.nn.Module:
    torch.manual_seed(0)
    encoder = Encoder(
        channels=LABELS, patches=4, features=5, width=16, layers=1, heads=2, dropout=dropout, drop_path=dropout
    )
    return torch.nn.Sequential(Patches(5), encoder, Classifier(16 * LABELS, LABELS, concat=True))


def run(folder, module=None, *, batches=None, steps=STEPS, validation=valid, seed=0, progress=None, **settings):
    module = network() if module is None else module
    settings = Train(**{"epochs": 3, "lr": 5e-3, "batch": BATCH, **settings})
    history = train.fit(
        module,
        batches or shuffled(),
        validation,
        settings,
        seed=seed,
        steps_per_epoch=steps,
        folder=folder,
        progress=progress,
    )
    return history, {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(a, b) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


class Stops(Progress):
    """Raises at the nth update, as a kill would."""

    def __init__(self, at: int) -> None:
        self.left = at

    def phase(self, title, total=None):
        import contextlib

        def advance(steps: int) -> None:
            self.left -= steps
            if self.left <= 0:
                raise KeyboardInterrupt

        return contextlib.nullcontext(advance)


def test_it_learns_and_writes_its_history(tmp_path):
    module = network()
    history, _ = run(tmp_path, module, epochs=12)
    assert history.epochs[-1].loss < 0.7 * history.epochs[0].loss
    assert history.epochs[-1].valid_gauge > 0.9 and history.best == 12
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, 13))
    assert lines[-1]["valid_loss"] == history.epochs[-1].valid_loss
    assert not module.training
    logits = module(torch.from_numpy(windows(1)[0]))
    assert (logits.argmax(1).numpy() == windows(1)[1]).mean() == pytest.approx(history.epochs[-1].valid_gauge)


def test_two_runs_are_identical_and_another_seed_is_not(tmp_path):
    first, again, other = (run(tmp_path / str(i), seed=seed, mixup=0.2)[1] for i, seed in enumerate((0, 0, 1)))
    assert same(first, again) and not same(first, other)


@pytest.mark.parametrize("stop", [STEPS + 1, 2 * STEPS + 2])
def test_resumed_equals_undisturbed_bit_for_bit(tmp_path, stop):
    settings = {"epochs": 4, "mixup": 0.3, "ema": 0.9, "patience": 3, "accumulate": 2}
    history, weights = run(tmp_path / "whole", **settings)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", progress=Stops(stop), **settings)
    assert len((tmp_path / "cut" / "history.jsonl").read_text().splitlines()) == stop // STEPS
    resumed, again = run(tmp_path / "cut", **settings)
    assert same(weights, again) and resumed.best == history.best
    assert [e.loss for e in resumed.epochs] == [e.loss for e in history.epochs]
    finished, kept = run(tmp_path / "cut", progress=Stops(10**6), **settings)  # nothing left to do
    assert same(weights, kept) and finished == resumed


def test_killed_process_resumes_bit_for_bit(tmp_path):
    code = textwrap.dedent("""
        import os, signal, sys
        sys.path.insert(0, os.path.dirname(sys.argv[1]))
        import test_train as t
        class Dies(t.Stops):
            def phase(self, title, total=None):
                import contextlib
                def advance(steps):
                    self.left -= steps
                    if self.left <= 0: os.kill(os.getpid(), signal.SIGKILL)
                return contextlib.nullcontext(advance)
        t.train.CHECKPOINT_S = 0.0
        t.run(t.train.Path(sys.argv[2]), progress=Dies(t.STEPS + 2))
    """)
    done = subprocess.run([sys.executable, "-c", code, __file__, str(tmp_path / "cut")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert checkpoint.read(tmp_path / "cut" / "checkpoint.pt", _fingerprint(tmp_path / "cut"))["epoch"] == 1
    assert same(run(tmp_path / "cut")[1], run(tmp_path / "whole")[1])


def _fingerprint(folder) -> str:
    return torch.load(folder / "checkpoint.pt", weights_only=True)["fingerprint"]


def test_accumulated_batches_equal_one_large_batch(tmp_path):
    steps = math.ceil(WINDOWS / 10)
    parts, a = run(tmp_path / "a", network(0.0), batches=shuffled(10), steps=steps, accumulate=2, batch=10)
    large, b = run(tmp_path / "b", network(0.0), batches=shuffled(20), steps=steps // 2, batch=20)
    assert [e.loss for e in parts.epochs] == pytest.approx([e.loss for e in large.epochs], abs=1e-5)
    assert all(torch.allclose(a[name], b[name], atol=1e-4) for name in a)


def test_patience_keeps_the_best_weights_and_stops(tmp_path):
    history, weights = run(tmp_path, epochs=60, patience=2, lr=0.05, warmup=0.0)
    losses = [e.valid_loss for e in history.epochs]
    assert history.stopped_early and len(losses) < 60
    assert history.best == int(np.argmin(losses)) + 1 == len(losses) - 2
    module = network().eval()
    module.load_state_dict(weights)
    x, y = windows(1)
    with torch.no_grad():
        loss = Train().task.loss(module(torch.from_numpy(x)), torch.from_numpy(y).long())
    assert loss.item() == pytest.approx(min(losses), rel=1e-5)


def test_averaged_weights_are_kept_and_validated(tmp_path):
    history, averaged = run(tmp_path / "ema", ema=0.99)
    plain, last = run(tmp_path / "plain")
    assert [e.loss for e in history.epochs] == [e.loss for e in plain.epochs]  # the path itself is the same
    assert not same(averaged, last) and history.epochs[-1].valid_loss != plain.epochs[-1].valid_loss


def test_learning_rate_warms_up_and_follows_the_cosine_by_step():
    settings = Train(lr=1e-3, min_lr=1e-5, warmup=0.1)
    rates = [train.learning_rate(step, 100, settings) for step in range(100)]
    assert rates[:10] == pytest.approx(np.linspace(1e-4, 1e-3, 10))
    assert rates[10] == pytest.approx(1e-3) and rates[-1] == pytest.approx(1e-5)
    middle = (10 + 99) // 2
    cosine = 1e-5 + 0.99e-3 * (1 + math.cos(math.pi * (middle - 10) / 89)) / 2
    assert rates[middle] == pytest.approx(cosine)
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))
    assert train.learning_rate(0, 1, Train(warmup=0.0)) == pytest.approx(5e-4)


def test_only_matrices_decay():
    module = network()
    decayed, plain = train.parameter_groups(module, 0.05)
    names = {id(p): name for name, p in module.named_parameters()}
    assert decayed["weight_decay"] == 0.05 and plain["weight_decay"] == 0.0
    assert {names[id(p)].rsplit(".", 1)[-1] for p in decayed["params"]} == {"weight"}
    assert {names[id(p)] for p in decayed["params"]} >= {"1.embed.weight", "2.classifier.weight"}
    left = {names[id(p)] for p in plain["params"]}
    assert {"1.channel_embed", "1.norm.weight", "1.blocks.0.norm1.bias", "1.embed.bias"} <= left
    assert "1.mask_token" not in left  # not trained here


def test_bf16_trains_too(tmp_path):
    history, weights = run(tmp_path, precision="bf16", epochs=8)
    assert history.epochs[-1].loss < 0.8 * history.epochs[0].loss
    assert all(tensor.dtype == torch.float32 for tensor in weights.values())


def test_a_loss_that_is_not_a_number_is_an_error_with_the_place(tmp_path):
    x, y = windows()

    def batches(epoch: int):
        for step in range(STEPS):
            yield x[:BATCH] * (np.nan if (epoch, step) == (1, 2) else 1), y[:BATCH]

    with pytest.raises(MyoflowError, match=f"loss is nan in epoch 2, step {STEPS + 3}, .* Try a lower train.lr"):
        run(tmp_path, batches=batches)


def test_a_validation_loss_that_is_not_a_number_is_an_error(tmp_path):
    x, y = windows()
    with pytest.raises(MyoflowError, match="validation loss is no number in epoch 1: look for NaN"):
        run(tmp_path, validation=lambda: [(x[:BATCH] * np.nan, y[:BATCH])])


def test_errors(tmp_path):
    with pytest.raises(InputError, match="no windows"):
        run(tmp_path, steps=0)
    with pytest.raises(InputError, match="patience needs a validation split"):
        run(tmp_path, validation=None, patience=2)
    with pytest.raises(InputError, match="validation split has none"):
        run(tmp_path / "other", validation=lambda: iter(()), patience=2)
    run(tmp_path, epochs=1, validation=None)
    with pytest.raises(InputError, match=r"other settings: it has 'lr: 0.005', this run 'lr: 0.001'"):
        run(tmp_path, epochs=1, lr=1e-3)
    (tmp_path / "checkpoint.pt").write_bytes(b"PK\x03\x04 not a checkpoint")
    with pytest.raises(InputError, match="not a readable checkpoint"):
        run(tmp_path, epochs=1)


def test_a_checkpoint_is_never_half_written_and_never_runs_code(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    checkpoint.write(path, {"fingerprint": "a", "step": 1})

    def dies(state, file):
        file.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", dies)
    with pytest.raises(OSError, match="disk full"):
        checkpoint.write(path, {"fingerprint": "a", "step": 2})
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]
    assert checkpoint.read(path, "a")["step"] == 1
    monkeypatch.undo()

    class Evil:
        def __reduce__(self):
            return (tmp_path.joinpath("owned").touch, ())

    torch.save({"fingerprint": Evil()}, path)
    with pytest.raises(InputError, match="not a readable checkpoint"):
        checkpoint.read(path, "a")
    assert not (tmp_path / "owned").exists()
    assert checkpoint.read(tmp_path / "none.pt", "a") is None


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    code = textwrap.dedent("""
        import os, sys
        sys.path.insert(0, os.path.dirname(sys.argv[1]))
        import test_train as t
        t.run(t.train.Path(sys.argv[2]), t.network(0.0), accumulate=2)
    """)
    (tmp_path / "job.py").write_text(code)
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(tmp_path / "job.py")]
    env = {**os.environ, "ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1"}
    env["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    subprocess.run([sys.executable, *command, __file__, str(tmp_path / "two")], check=True, env=env)
    run(tmp_path / "one", network(0.0), accumulate=2)
    curves = [
        [json.loads(line) for line in (tmp_path / name / "history.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    for key in ("loss", "valid_loss", "valid_gauge"):
        assert [e[key] for e in curves[0]] == pytest.approx([e[key] for e in curves[1]], abs=1e-5)
