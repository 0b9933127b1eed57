"""Utterances in a batch do not see each other; positions, masks and counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from myoflow.heads import Heads
from myoflow.nn.frames import FrameEncoder
from myoflow.nn.utterances import ConvStem, FrameNorm
from myoflow.spec import Spec
from myoflow.stages.conv_stem import ConvStem as Stem
from myoflow.stages.ctc import Ctc
from myoflow.stages.mel import Mel
from myoflow.stages.phonemes import Phonemes
from myoflow.stages.tinymyo import TinyMyo
from myoflow.stages.utterance import Utterance

PHONES = tuple(f"p{i}" for i in range(48))
LENGTHS = (97, 250, 8, 161)


def network(stem: Stem, encoder: TinyMyo, *, text: bool = True) -> torch.nn.Sequential:
    spec = Utterance().plan(Spec.signal(8, 689.0625, labels=PHONES))
    modules = []
    branches = {"audio": (Mel(),), "phonemes": (Phonemes(),), **({"text": (Ctc(),)} if text else {})}
    for stage in (stem, encoder, Heads(branches)):
        modules.append(stage.module(spec))
        assert stage.cost(spec).parameters == sum(p.numel() for p in modules[-1].parameters())
        spec = stage.plan(spec)
    return torch.nn.Sequential(*modules)


def small(**fields: object) -> torch.nn.Sequential:
    torch.manual_seed(0)
    stem = Stem(widths=(12, 16), strides=(2, 4), causal=bool(fields.pop("causal", False)))
    return network(stem, TinyMyo(layers=2, width=24, heads=2, **fields))  # type: ignore[arg-type]


def batch(lengths: tuple[int, ...] = LENGTHS) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    values = torch.zeros(len(lengths), 8, max(lengths))
    for row, length in enumerate(lengths):
        values[row, :, :length] = torch.randn(8, length, generator=rng)
    return {"emg": values, "length": torch.tensor(lengths)}


def settle(module: torch.nn.Module) -> None:
    """Batch norms that have seen data, so that their statistics are not zero and one."""
    module.train()
    for _ in range(3):
        module(batch())
    module.eval()


@pytest.mark.parametrize("positions", ["rotary", "relative", "none"])
@pytest.mark.parametrize("lookahead", [None, 0.05])
def test_an_output_never_depends_on_what_else_is_in_the_batch(positions, lookahead):
    module = small(positions=positions, lookahead=lookahead)
    settle(module)
    with torch.no_grad():
        together = module(batch())
        for row, length in enumerate(LENGTHS):
            alone = module(batch()["emg"][row : row + 1, :, :length])
            frames = int(together["length"][row])
            assert frames == alone.shape[1] == -(-length // 8)
            found = torch.cat([together[name][row, :frames] for name in ("audio", "phonemes", "text")], -1)
            torch.testing.assert_close(found, alone[0], atol=1e-5, rtol=1e-5)


def test_padding_does_not_enter_the_statistics_of_training():
    norm, plain = FrameNorm(3), torch.nn.BatchNorm1d(3)
    x, keep = torch.randn(2, 3, 10), torch.ones(2, 10, dtype=torch.bool)
    keep[1, 6:] = False
    out = norm(x, keep)
    expected = plain(torch.cat([x[0], x[1, :, :6]], 1).T)
    torch.testing.assert_close(norm.running_mean, plain.running_mean)
    torch.testing.assert_close(torch.cat([out[0], out[1, :, :6]], 1).T, expected)
    assert not out[1, :, 6:].any()


def test_gradients_of_one_utterance_do_not_reach_another():
    module = small()
    settle(module)
    given = batch()
    given["emg"].requires_grad_()
    module(given)["audio"][0].sum().backward()
    gradient = given["emg"].grad
    assert gradient is not None and gradient[0].any() and not gradient[1:].any()


def test_the_setting_of_the_paper_has_its_count_of_parameters():
    """4,564,352 with 80 mels and 48 phonemes (facts), and a final norm of 384 that pre-norm blocks need."""
    module = network(Stem(), TinyMyo(positions="relative"), text=False)
    assert sum(p.numel() for p in module.parameters()) == 4_564_352 + 384


def test_relative_positions_get_gradients_and_rotary_ones_know_the_order():
    module = small(positions="relative")
    module.eval()
    module(batch())["audio"].square().sum().backward()
    assert all(block.attn.distance.grad.any() for block in module[1].blocks)
    for positions, moved in (("rotary", True), ("relative", True), ("none", False)):
        encoder = FrameEncoder(
            features=4, width=8, layers=1, heads=2, mlp=2, dropout=0, drop_path=0, attention_dropout=0,
            positions=positions,  # type: ignore[arg-type]
        ).eval()  # fmt: skip
        x, order = torch.randn(1, 9, 4), torch.randperm(9, generator=torch.Generator().manual_seed(3))
        with torch.no_grad():
            apart = (encoder(x[:, order]) - encoder(x)[:, order]).abs().max()
        assert (float(apart) > 1e-3) == moved


def test_a_live_network_hears_nothing_beyond_its_lookahead():
    """Frames of one chunk, three here, do not change when all later samples do; later frames do."""
    module = small(causal=True, lookahead=3 * 8 / 689.0625)
    settle(module)
    x = batch((240,))["emg"]
    other = x.clone()
    other[:, :, 6 * 8 :] += 1
    with torch.no_grad():
        one, two = module(x), module(other)
    torch.testing.assert_close(one[:, :6], two[:, :6])
    assert float((one[:, 6:] - two[:, 6:]).abs().max()) > 1e-3


def test_a_stem_hears_as_far_ahead_as_its_plan_says():
    stem = Stem(widths=(4, 4, 4))
    module = ConvStem(8, stem.widths, stem.strides).eval()
    x = torch.zeros(1, 8, 400, requires_grad=True)
    module(x)[0, 20].sum().backward()
    heard = np.flatnonzero(x.grad[0].abs().sum(0).numpy())  # type: ignore[index]
    assert (heard[0], heard[-1]) == (8 * 20 - 21, 8 * 20 + 21)
    assert stem.ahead == 21 - 7
