"""What of a pre-trained encoder learns, and how fast."""

from __future__ import annotations

import torch

from myoflow.nn.adapt import LowRank, adapt, layer_rates, merge, merged_weights, still
from myoflow.nn.encoder import Classifier, Encoder
from myoflow.training.train import parameter_groups

torch.set_num_threads(1)


def encoder(how: str = "full") -> Encoder:
    torch.manual_seed(0)
    made = Encoder(channels=2, patches=3, features=4, width=8, layers=3, heads=2, dropout=0, drop_path=0)
    adapt(made, how, rank=2)
    return made


def step(model: torch.nn.Module) -> None:
    groups = parameter_groups(model, 0.0)
    optimizer = torch.optim.SGD(groups, lr=0.1)
    for group in optimizer.param_groups:
        group["lr"] = 0.1 * group["lr_scale"]
    x = torch.randn(4, 2, 3, 4, generator=torch.Generator().manual_seed(1))
    model(x).square().sum().backward()
    optimizer.step()


def changed(how: str) -> set[str]:
    model = torch.nn.Sequential(encoder(how), Classifier(16, 3, concat=True))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    step(model)
    return {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}


def test_a_frozen_encoder_stays_and_its_head_learns() -> None:
    assert changed("frozen") == {"1.classifier.weight", "1.classifier.bias"}


def test_lora_trains_thin_products_only() -> None:
    names = changed("lora")
    assert {name for name in names if name.startswith("0.")} == {
        f"0.blocks.{i}.{layer}.lora_up" for i in range(3) for layer in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
    }  # `down` gets its first gradient once `up` is no longer zero


def test_a_fresh_lora_changes_nothing_and_a_merged_one_gives_the_same() -> None:
    x = torch.randn(2, 2, 3, 4)
    thin = encoder("lora").eval()
    with torch.no_grad():
        assert torch.equal(thin(x), encoder().eval()(x))
        for layer in thin.modules():
            if isinstance(layer, LowRank):
                layer.lora_up.normal_()
        before = thin(x)
        merge(thin)
        assert not any(isinstance(layer, LowRank) for layer in thin.modules())
        assert torch.allclose(thin(x), before, atol=1e-5)
        assert set(thin.state_dict()) == set(encoder().state_dict())
        assert (before - encoder().eval()(x)).abs().max() > 0.1


def test_weights_are_merged_as_modules_are() -> None:
    thin = encoder("lora")
    with torch.no_grad():
        for layer in thin.modules():
            if isinstance(layer, LowRank):
                layer.lora_up.normal_()
    kept = {name: tensor.clone() for name, tensor in thin.state_dict().items()}
    plain = merged_weights(kept)
    merge(thin)
    assert plain.keys() == thin.state_dict().keys()
    for name, tensor in thin.state_dict().items():
        assert torch.allclose(plain[name], tensor, atol=1e-6), name
    again = merged_weights({**plain, **still(kept)})
    assert all(torch.equal(again[name], plain[name]) for name in plain), "still products change nothing"
    assert still(plain) == {} and merged_weights(plain).keys() == plain.keys()
    arrays = merged_weights({name: tensor.numpy() for name, tensor in kept.items()})
    assert all(torch.allclose(torch.from_numpy(arrays[name]), plain[name], atol=1e-6) for name in plain)


def test_layer_decay_slows_each_block_by_the_same_factor() -> None:
    moved = []
    for decay in (1.0, 0.5):
        made = encoder()
        layer_rates(made, decay)
        before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
        step(made)
        moved.append({name: (tensor - before[name]) for name, tensor in made.state_dict().items()})
    for name, share in (
        ("norm.weight", 1),
        ("blocks.2.mlp.fc1.weight", 0.5),
        ("blocks.1.attn.qkv.weight", 0.25),
        ("blocks.0.norm1.bias", 0.125),
        ("embed.weight", 0.0625),
        ("channel_embed", 0.0625),
    ):
        assert moved[0][name].abs().max() > 0
        assert torch.allclose(moved[1][name], share * moved[0][name], atol=1e-6), name
