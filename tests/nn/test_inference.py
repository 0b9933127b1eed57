"""Inference form: the same function as the trained network, whatever its options."""

from __future__ import annotations

import pytest
import torch

from myoflow.nn.adapt import adapt
from myoflow.nn.encoder import Classifier, Encoder, Patches
from myoflow.nn.inference import InferenceEncoder, arranged


def network(positions: str, heads: int = 2) -> torch.nn.Sequential:
    torch.manual_seed(1)
    encoder = Encoder(
        channels=3, patches=4, features=10, width=24, layers=3, heads=heads, positions=positions, attention_dropout=0.2
    )
    made = torch.nn.Sequential(Patches(10), encoder, Classifier(72, 4, concat=True, dropout=0.3))
    with torch.no_grad():
        for values in made.parameters():  # norms that scale and shift, biases that are not zero
            values += 0.2 * torch.randn_like(values)
    return made.eval()


@pytest.mark.parametrize("heads", [1, 2, 3])
@pytest.mark.parametrize("positions", ["rotary", "none"])
def test_the_function_is_the_same(positions: str, heads: int) -> None:
    made = network(positions, heads)
    before = {name: values.clone() for name, values in made.state_dict().items()}
    x = torch.randn(5, 3, 40, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.testing.assert_close(arranged(made)(x), made(x), atol=2e-5, rtol=1e-5)
    for name, values in made.state_dict().items():
        assert torch.equal(values, before[name]), f"{name} of the trained network changed"


def test_thin_products_are_part_of_the_function() -> None:
    """They stand behind norms that shift, too."""
    made = network("rotary")
    adapt(made[1], "lora", 3)  # type: ignore[arg-type]
    with torch.no_grad():
        for name, values in made.named_parameters():
            if name.endswith("lora_up"):
                values.normal_(std=0.3)
    x = torch.randn(5, 3, 40, generator=torch.Generator().manual_seed(2))
    made = made.eval()
    fast = arranged(made)
    with torch.no_grad():
        torch.testing.assert_close(fast(x), made(x), atol=5e-5, rtol=1e-4)
        assert (fast(x) - arranged(network("rotary"))(x)).abs().max() > 0.1
    assert not any("lora" in name for name, _ in fast.named_parameters())


def test_positions_still_matter() -> None:
    """The order of patches within a channel is seen by rotary positions and by nothing else here."""
    x = torch.randn(1, 3, 40, generator=torch.Generator().manual_seed(3))
    turned = x.reshape(1, 3, 4, 10).flip(2).reshape(1, 3, 40)
    with torch.no_grad():
        for positions, same in (("rotary", False), ("none", True)):
            made = arranged(network(positions))
            assert torch.allclose(made(x), made(turned), atol=1e-4) == same


def test_layers_keep_their_names_and_training_parts_are_gone() -> None:
    made = network("rotary")

    def layers(module: torch.nn.Module) -> list[str]:
        return [name for name, part in module.named_modules() if isinstance(part, torch.nn.Linear)]

    fast = arranged(made)
    assert layers(fast) == layers(made)
    kinds = {type(part).__name__ for part in fast[1].modules()}
    assert isinstance(fast[1], InferenceEncoder) and not kinds & {"Dropout", "DropPath"}
