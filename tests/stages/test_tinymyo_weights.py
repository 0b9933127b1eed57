"""`weights:` of a tinymyo stage: where training starts, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import myoflow as mf
from myoflow import weights
from myoflow.engine import Parameters, Segment
from myoflow.errors import InputError, PlanError
from myoflow.network import build, continued, fresh
from myoflow.nn.adapt import merge
from myoflow.spec import Spec


def segment(count: int = 3, **changes) -> Segment:
    stage = mf.TinyMyo(**{"layers": 1, "width": 8, "heads": 1, **changes})
    spec = Spec(("window", "channel", "patch", "feature"), (None, count, 2, 4), 100.0, tuple("abcdefgh"[:count]))
    return Segment(0, (stage,), (spec,), stage.plan(spec), "torch")


def trained(folder: Path) -> Path:
    torch.manual_seed(5)
    module = build(segment())
    header = weights.Header("r", tuple("abc"), 100.0, "V", ("x", "y"), "tinymyo")
    tensors = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    path = folder / "fold-1" / "tinymyo" / "seed-0" / "weights.safetensors"
    path.parent.mkdir(parents=True)
    (folder / "metrics.json").write_text('{"main": "tinymyo"}')
    weights.save(
        path, Parameters(weights={**tensors, "reconstruct.decoder_pred.bias": tensors["tinymyo.norm.bias"]}), header
    )
    return folder


def test_training_starts_from_a_runs_weights_and_says_so(tmp_path: Path) -> None:
    run = trained(tmp_path / "run")
    torch.manual_seed(5)
    expected = build(segment()).state_dict()
    torch.manual_seed(6)
    module, told = fresh(segment(weights=str(run)))
    assert all(torch.equal(tensor, expected[name]) for name, tensor in module.state_dict().items())
    assert told == (f"tinymyo starts from {run}, without decoder_pred.bias",)
    torch.manual_seed(6)
    thin, _ = fresh(segment(weights=str(run), adapt="lora", rank=2))
    assert torch.equal(thin.tinymyo.blocks[0].attn.qkv.weight, expected["tinymyo.blocks.0.attn.qkv.weight"])


def test_a_trained_model_does_not_need_the_file_it_started_from() -> None:
    build(segment(weights="gone.safetensors"))
    with pytest.raises(InputError, match=r"no weights at gone\.safetensors"):
        fresh(segment(weights="gone.safetensors"))


def test_misfits_are_errors_unless_the_recipe_allows_them(tmp_path: Path) -> None:
    run = str(trained(tmp_path / "run"))
    with pytest.raises(InputError, match=r"not used: decoder_pred\.bias"):
        fresh(segment(weights=run, allow_unused=[]))
    with pytest.raises(InputError, match=r"missing: blocks\.1\.norm1\.weight"):
        fresh(segment(weights=run, layers=2))
    fresh(segment(weights=run, layers=2, allow_missing=["blocks.1.*"]))
    with pytest.raises(InputError, match="made for 3 channels, here are only 2"):
        fresh(segment(2, weights=run))
    for rule, channels in (("pad", 2), ("interpolate", 5)):
        module, _ = fresh(segment(channels, weights=run, channels=rule))
        assert module.tinymyo.channel_embed.shape == (1, channels, 1, 8)


def test_weights_of_other_heads_or_positions_are_refused_where_that_is_known(tmp_path: Path) -> None:
    """The tensors have the same shapes for any number of heads; the run's recipe tells."""
    run = trained(tmp_path / "run")
    fresh(segment(weights=str(run), heads=2))  # nothing known
    (run / "recipe.yaml").write_text(
        "pipeline: [{patch: {}}, {tinymyo: {heads: 1, positions: rotary}}]\n"
        "baselines: {other: [{tinymyo: {heads: 4, positions: rotary}}]}\n"
    )
    fresh(segment(weights=str(run)))
    file = run / "fold-1" / "tinymyo" / "seed-0" / "weights.safetensors"
    for path in (run, file):
        with pytest.raises(InputError, match=r"was trained with heads: 1, and computes something else with 2"):
            fresh(segment(weights=str(path), heads=2))
    with pytest.raises(InputError, match=r"was trained with positions: rotary"):
        fresh(segment(weights=str(run), positions="none"))
    changed = ["channel_embed", "decoder_pred.*"]
    fresh(segment(weights=str(run), positions="none", allow_unused=changed))  # on purpose
    other = run / "fold-1" / "other" / "seed-0" / "weights.safetensors"
    other.parent.mkdir(parents=True)
    other.write_bytes(file.read_bytes())
    fresh(segment(weights=str(other), heads=4))
    (run / "recipe.yaml").write_text("- nothing: [of the kind")
    fresh(segment(weights=str(run), heads=2))  # nothing can be known


def thin(folder: Path, rank: int = 2) -> tuple[Path, dict[str, torch.Tensor]]:
    """A run trained with `adapt: lora`, and its plain network with what was learned."""
    torch.manual_seed(7)
    module = build(segment(adapt="lora", rank=rank))
    with torch.no_grad():
        for name, values in module.named_parameters():
            if name.endswith("lora_up"):
                values.normal_()
    path = folder / "fold-1" / "tinymyo" / "seed-0" / "weights.safetensors"
    path.parent.mkdir(parents=True)
    (folder / "metrics.json").write_text('{"main": "tinymyo"}')
    header = weights.Header("r", tuple("abc"), 100.0, "V", ("x", "y"), "tinymyo")
    kept = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    weights.save(path, Parameters(weights={name: tensor.numpy() for name, tensor in kept.items()}), header)
    merge(module)
    return folder, module.state_dict()


def test_what_lora_learned_is_part_of_the_weights(tmp_path: Path) -> None:
    run, plain = thin(tmp_path / "run")
    module, _ = fresh(segment(weights=str(run)))
    assert module.state_dict().keys() == plain.keys()
    assert all(torch.allclose(tensor, plain[name], atol=1e-6) for name, tensor in module.state_dict().items())
    again, _ = fresh(segment(weights=str(run), adapt="lora", rank=3))
    assert torch.allclose(again.tinymyo.blocks[0].attn.qkv.weight, plain["tinymyo.blocks.0.attn.qkv.weight"], atol=1e-6)
    assert not again.tinymyo.blocks[0].attn.qkv.lora_up.any(), "new products begin with nothing"


@pytest.mark.parametrize(("how", "rank"), [("full", 2), ("lora", 3), ("lora", 2)])
def test_a_training_goes_on_from_one_with_lora(how: str, rank: int, tmp_path: Path) -> None:
    run, plain = thin(tmp_path / "run")
    torch.manual_seed(8)
    module = build(segment(adapt=how, rank=rank))
    continued(module, str(run))
    if (how, rank) == ("lora", 2):
        assert module.tinymyo.blocks[0].attn.qkv.lora_up.any(), "the same products go on"
    merge(module)
    assert all(torch.allclose(tensor, plain[name], atol=1e-6) for name, tensor in module.state_dict().items())


def test_a_training_does_not_go_on_from_something_else(tmp_path: Path) -> None:
    run = trained(tmp_path / "run")
    file = run / "fold-1" / "tinymyo" / "seed-0" / "weights.safetensors"
    parameters, header = weights.load(file)
    kept = {name: array for name, array in parameters.weights.items() if not name.startswith("reconstruct")}
    weights.save(file, Parameters(weights=kept), header)
    (run / "recipe.yaml").write_text(
        "pipeline: [{patch: {}}, {tinymyo: {heads: 1, positions: rotary}}]\nbaselines: {}\n"
    )
    same, other = segment(heads=1), segment(heads=2)
    continued(build(same), str(run), same.stages)
    with pytest.raises(InputError, match="was trained with heads: 1, and computes something else with 2"):
        continued(build(other), str(run), other.stages)
    weights.save(file, Parameters(weights={**kept, "tinymyo.norm.bias": kept["tinymyo.norm.bias"] * np.nan}), header)
    with pytest.raises(InputError, match=r"'tinymyo\.norm\.bias' of .* holds numbers that are not finite"):
        continued(build(segment()), str(run))


def test_tensors_that_cannot_be_weights_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    run = trained(tmp_path / "run")
    given = load_file(run / "fold-1" / "tinymyo" / "seed-0" / "weights.safetensors")
    name, path = "weight.tinymyo.blocks.0.attn.qkv.weight", tmp_path / "bad.safetensors"
    for changed, said in (
        (given[name].to(torch.int8), "of type int8, not floating-point"),
        (given[name].to(torch.complex64), "of type complex64, not floating-point"),
        (torch.full_like(given[name], float("nan")), "holds numbers that are not finite"),
    ):
        save_file({**given, name: changed.contiguous()}, path)
        with pytest.raises(InputError, match=rf"no weights: blocks\.0\.attn\.qkv\.weight: {said}"):
            fresh(segment(weights=str(path)))


def test_a_subset_of_channels_is_what_selecting_them_gives(tmp_path: Path) -> None:
    run = str(trained(tmp_path / "run"))
    module, _ = fresh(segment(5, weights=run, channels="subset", places=3))
    plain, _ = fresh(segment(3, weights=run))
    x = torch.randn(2, 5, 2, 4)
    with torch.no_grad():
        assert torch.equal(module.eval()(x), plain.eval()(x[:, :3]))
    wide, narrow = segment(5, channels="subset", places=3), segment(3)
    assert wide.output.sizes == narrow.output.sizes and wide.output.channels == ("a", "b", "c")
    assert wide.stages[0].cost(wide.specs[0]) == narrow.stages[0].cost(narrow.specs[0])
    with pytest.raises(InputError, match="made for 3 channels, so places must be that many"):
        fresh(segment(5, weights=run, places=4, channels="subset"))


def test_bad_fields_are_planning_errors() -> None:
    for changes, words in (
        ({"rank": 0}, "rank must be"),
        ({"channels": "subset"}, "and `places`, the number of channels that the weights know, go together"),
        ({"places": 2}, "go together"),
        ({"channels": "subset", "places": 4}, "from 1 to the 3 channels there are, got 4"),
        ({"layer_decay": 0.0}, "layer_decay must be"),
        ({"layer_decay": 0.5, "adapt": "frozen"}, "for adapt: full"),
    ):
        with pytest.raises(PlanError, match=words):
            segment(**changes)


def test_flat_positions_know_channels_by_their_place() -> None:
    torch.manual_seed(0)
    module = build(segment(positions="flat")).eval()
    assert module.tinymyo.channel_embed is None
    x = torch.randn(1, 3, 2, 4)
    with torch.no_grad():
        assert (module(x.flip(1)).flip(1) - module(x)).abs().max() > 1e-3
