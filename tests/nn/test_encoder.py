"""The encoder against the published code's outputs, the published counts, and what positions must and must not do."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from myoflow.nn.encoder import Classifier, Dropout, DropPath, Encoder, Patches, attend, rotary_table, rotate

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference"
torch.set_num_threads(1)


def small(**changes) -> Encoder:
    torch.manual_seed(0)
    sizes = {"channels": 3, "patches": 5, "features": 4, "width": 16, "layers": 2, "heads": 2}
    return Encoder(**{**sizes, **changes}).eval()


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.fixture(scope="module")
def published():
    def load(name: str):
        if not (REFERENCE / f"{name}.io.npz").is_file():
            pytest.skip(f"{REFERENCE} has no {name}")
        from safetensors.numpy import load_file

        weights = {}
        for key, value in load_file(REFERENCE / f"{name}.weights.safetensors").items():
            key = key.removeprefix("model.").replace("patch_embedding.patch_embed.proj", "embed")
            weights[key] = torch.from_numpy(value.reshape(192, -1) if key == "embed.weight" else value)
        with np.load(REFERENCE / f"{name}.io.npz") as io:
            return weights, {key: torch.from_numpy(io[key]) for key in io.files}

    return load


def split(weights: dict, head: str) -> tuple[dict, dict]:
    body = {k: v for k, v in weights.items() if not k.startswith("model_head.")}
    return body, {k.removeprefix(head): v for k, v in weights.items() if k.startswith("model_head.")}


@pytest.mark.data
def test_classification_equals_the_published_code(published):
    weights, io = published("classify_8ch_6")
    body, head = split(weights, "model_head.")
    encoder = Encoder(channels=8, patches=50, features=20, layers=2, positions="none").eval()
    classifier = Classifier(8 * 192, 6, concat=True)
    encoder.load_state_dict(body)
    classifier.load_state_dict(head)
    with torch.no_grad():
        logits = classifier(encoder(Patches(20)(io["input"])))
    assert (logits - io["output"]).abs().max() <= 1e-5


@pytest.mark.data
def test_masked_reconstruction_equals_the_published_code(published):
    weights, io = published("pretrain_16ch")
    body, head = split(weights, "model_head.decoder_pred.")
    encoder = Encoder(channels=16, patches=50, features=20, layers=2, positions="none").eval()
    encoder.load_state_dict(body)
    decoder = torch.nn.Linear(192, 20)
    decoder.load_state_dict(head)
    mask = Patches(20)(io["mask"])[..., 0]
    assert 0.3 < mask.float().mean() < 0.7
    with torch.no_grad():
        out = decoder(encoder(Patches(20)(io["input"]), mask)).flatten(1, 2)
    assert (out - io["output"]).abs().max() <= 1e-5


def test_parameter_counts_are_the_published_ones():
    encoder = Encoder(channels=16, patches=50, features=20, positions="none")
    assert count(encoder) == 3_563_520
    assert count(Encoder(channels=16, patches=50, features=20)) == 3_563_520 + 16 * 192
    assert count(Classifier(8 * 192, 6, concat=True)) == 9_222
    assert count(Classifier(16 * 192, 53, concat=True)) == 162_869


def test_without_positions_tokens_are_a_set_and_with_rotary_they_are_not():
    order = torch.randperm(15, generator=torch.Generator().manual_seed(1))
    x = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(2))
    shuffled = x.flatten(1, 2)[:, order].unflatten(1, (3, 5))
    for positions, bound in (("none", 1e-5), ("rotary", None)):
        encoder = small(positions=positions)
        with torch.no_grad():
            difference = encoder(x).flatten(1, 2)[:, order] - encoder(shuffled).flatten(1, 2)
        if bound is None:
            assert difference.abs().max() > 0.05
        else:
            assert difference.abs().max() < bound


def test_rotary_alone_sees_the_order_of_patches_but_not_of_channels():
    encoder = small()
    torch.nn.init.zeros_(encoder.channel_embed)
    x = torch.randn(1, 3, 5, 4)
    with torch.no_grad():
        plain = encoder(x)
        assert torch.allclose(encoder(x.flip(1)).flip(1), plain, atol=1e-5)
        assert (encoder(x.flip(2)).flip(2) - plain).abs().max() > 1e-3


def test_rotary_products_depend_on_the_distance_alone():
    turn = rotary_table(2, 7, 8)
    assert torch.equal(turn[:7], turn[7:])  # positions restart in the second channel
    q, k = torch.randn(8), torch.randn(8)
    both = rotate(torch.stack((q, k)).expand(1, 14, 2, 8).unsqueeze(3), turn)[0, :, :, 0]
    assert torch.allclose(both[1, 0] @ both[4, 1], both[3, 0] @ both[6, 1], atol=1e-5)
    assert torch.allclose(both[:, 0].norm(dim=-1), q.norm().expand(14), atol=1e-5)
    # by hand: pair 1 of width 8 turns by 10000^(-2/8) = 0.1 a patch
    assert math.isclose(both[3, 0, 2], q[2] * math.cos(0.3) - q[3] * math.sin(0.3), abs_tol=1e-5)


def test_rotation_has_one_result_in_complex_and_in_real_numbers(monkeypatch):
    turn = rotary_table(2, 7, 8)
    x = torch.randn(3, 14, 2, 2, 8)
    fast = rotate(x, turn)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert torch.allclose(rotate(x, turn), fast, atol=1e-6)


def test_export_takes_any_batch_size():
    encoder = small()
    x = torch.randn(2, 3, 5, 4)
    program = torch.export.export(encoder, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    y = torch.randn(7, 3, 5, 4)
    with torch.no_grad():
        assert torch.allclose(program.module()(y), encoder(y), atol=1e-5)


def test_another_layout_is_an_error():
    for shape in ((2, 1, 5, 4), (2, 5, 3, 4)):
        with pytest.raises(ValueError, match=r"do not have the \(channel, patch\) \(3, 5\)"):
            small()(torch.randn(shape))


def test_both_forms_of_attention_agree():
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 2, 30, 8).bfloat16()
    exact = attend(q.float(), k.float(), v.float())
    explicit = attend(q.requires_grad_(), k, v)
    assert explicit.dtype == torch.bfloat16 and (explicit - exact).abs().max() < 0.02
    explicit.float().square().sum().backward()
    grads = torch.autograd.grad(
        attend(qf := q.detach().float().requires_grad_(), k.float(), v.float()).square().sum(), qf
    )
    assert (q.grad - grads[0]).abs().max() < 0.1 * grads[0].abs().max()


def test_initial_values_are_those_of_the_paper():
    encoder = Encoder(channels=4, patches=2, features=20)
    assert torch.all(encoder.blocks[3].attn.qkv.bias == 0)
    bound = math.sqrt(6 / (192 + 768)) / math.sqrt(2 * 4)
    largest = encoder.blocks[3].mlp.fc2.weight.abs().max().item()
    assert 0.99 * bound < largest <= bound
    assert encoder.channel_embed.abs().max() <= 0.02 and 0.008 < encoder.channel_embed.std() < 0.014


def test_dropout_keeps_the_mean_and_drops_the_share():
    torch.manual_seed(0)
    out = Dropout(0.1).train()(torch.ones(300_001))
    assert abs((out == 0).float().mean() - 26 / 256) < 0.003
    assert abs(out.mean() - 1) < 0.003
    assert torch.equal(Dropout(0.1).eval()(torch.ones(5)), torch.ones(5))
    x = torch.ones(64, requires_grad=True)
    torch.manual_seed(1)
    out = Dropout(0.5).train()(x)
    out.sum().backward()
    assert torch.equal(x.grad, out.detach())


def test_drop_path_drops_whole_samples():
    torch.manual_seed(0)
    out = DropPath(0.25).train()(torch.ones(4000, 3, 2))
    assert out.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert torch.equal(out.amin((1, 2)), out.amax((1, 2)))
    assert abs((out[:, 0, 0] == 0).float().mean() - 0.25) < 0.03
