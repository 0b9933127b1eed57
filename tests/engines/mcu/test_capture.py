"""Capture: what torch computes, as a dozen operations; the rest is refused by name."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from engines.mcu import nets

from myoflow.engines.mcu import capture, ir
from myoflow.errors import InputError


def test_an_encoder_becomes_products_norms_and_attention() -> None:
    graph = capture.capture(nets.tinymyo(), nets.spec(2, 100))
    kinds = [op.kind for op in graph]
    assert kinds.count("attention") == 2 and kinds.count("layernorm") == 5
    queries = next(op for op in graph if op.name.endswith("attn.query"))
    assert isinstance(queries, ir.Linear) and queries.rotary is not None
    assert tuple(queries.rotary.cos.shape) == (5, 12)  # angles repeat with every channel
    assert sum(op.macs for op in graph) == 10 * (20 * 24 + 2 * (4 * 24 * 24 + 8 * 24 * 24)) + 2 * 2 * 100 * 24 + 48 * 3


def test_convolutions_are_products_over_overlapping_rows() -> None:
    module = nets.spread(nets.Stem())
    graph = capture.capture(module, nets.spec(3, 41))
    x = nets.windows(3, 41)
    with torch.no_grad():
        wanted = module(torch.from_numpy(x)).numpy()
        got = ir.evaluate(graph, torch.from_numpy(x))[-1].numpy()
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    assert not any("norm" in op.kind for op in graph)  # batch normalisation is folded


class Odd(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cumsum(x, 1)


class Masked(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = torch.nn.Linear(20, 60)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (part.unsqueeze(1) for part in self.qkv(x).chunk(3, -1))
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)


@pytest.mark.parametrize(("module", "said"), [(Odd(), "'cumsum'"), (Masked(), "attention with a mask")])
def test_what_has_no_integer_form_is_named_with_its_layer(module: torch.nn.Module, said: str) -> None:
    whole = torch.nn.Sequential(OrderedDict(strange=module)).eval()
    with pytest.raises(InputError, match=f"^strange: {said} has no integer form"):
        capture.capture(whole, nets.spec(4, 20))
