"""Released weights in every spelling give the published outputs; misfits are named; nothing in a pickle is run."""

from __future__ import annotations

import os
import pickle
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import myoflow as mf
from myoflow import tensors
from myoflow.errors import InputError
from myoflow.nn.encoder import Encoder
from myoflow.nn.published import fit_channels, understand

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference"
torch.set_num_threads(1)


@pytest.mark.data
@pytest.mark.parametrize("name, channels", [("pretrain_16ch", 16), ("classify_8ch_6", 8), ("regress_16ch_5", 16)])
def test_published_weights_give_the_published_outputs(name: str, channels: int) -> None:
    if not (REFERENCE / f"{name}.io.npz").is_file():
        pytest.skip(f"{REFERENCE} has no {name}")
    model = mf.load_model(REFERENCE / f"{name}.weights.safetensors", channels=channels, samples=1000, positions="none")
    with np.load(REFERENCE / f"{name}.io.npz") as io, torch.no_grad():
        mask = {"mask": torch.from_numpy(io["mask"])} if "mask" in io.files else {}
        out = model(torch.from_numpy(io["input"]), **mask)
        assert out.shape == io["output"].shape
        assert np.abs(out.numpy() - io["output"]).max() <= 1e-5


# A small network in the authors' words: two channels' worth of head, patches of 4 samples.
WIDTH, PATCH, CHANNELS, SAMPLES = 8, 4, 3, 20


def published(head: str = "classifier", embed: bool = False) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    encoder = Encoder(channels=CHANNELS, patches=5, features=PATCH, width=WIDTH, layers=2, heads=1)
    found = {f"model.{k}": v.clone() for k, v in encoder.state_dict().items()}
    weight, bias = found.pop("model.embed.weight"), found.pop("model.embed.bias")
    found["model.patch_embedding.patch_embed.proj.weight"] = weight.reshape(WIDTH, 1, 1, PATCH)
    found["model.patch_embedding.patch_embed.proj.bias"] = bias
    if not embed:
        del found["model.channel_embed"]
    if head == "classifier":
        found["model.model_head.classifier.weight"] = torch.randn(5, CHANNELS * WIDTH)
        found["model.model_head.classifier.bias"] = torch.randn(5)
    elif head == "decoder_pred":
        found["model.model_head.decoder_pred.weight"] = torch.randn(PATCH, WIDTH)
        found["model.model_head.decoder_pred.bias"] = torch.randn(PATCH)
    return {k: v.contiguous() for k, v in found.items()}


def braindecode(given: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    found = {k.removeprefix("model.").replace("model_head.classifier", "final_layer"): v for k, v in given.items()}
    weight = found.pop("patch_embedding.patch_embed.proj.weight")
    found["patch_embed.proj.weight"] = weight.reshape(WIDTH, PATCH)
    found["patch_embed.proj.bias"] = found.pop("patch_embedding.patch_embed.proj.bias")
    del found["mask_token"]
    return found


def load(path: Path, **changes):
    sizes = {"channels": CHANNELS, "samples": SAMPLES, "positions": "none", "heads": 1}
    return mf.load_model(path, **{**sizes, **changes})


def x(channels: int = CHANNELS) -> torch.Tensor:
    return torch.randn(2, channels, SAMPLES, generator=torch.Generator().manual_seed(1))


def test_every_spelling_gives_the_same_model(tmp_path: Path) -> None:
    names = published()
    save_file(names, tmp_path / "a.safetensors")
    save_file(braindecode(names), tmp_path / "b.safetensors")
    torch.save({"state_dict": names, "epoch": 3, "hyper_parameters": {"lr": 1e-3}}, tmp_path / "c.ckpt")
    torch.save({k: v.bfloat16().float() for k, v in names.items()}, tmp_path / "d.pt")
    ours = understand(tensors.read(tmp_path / "a.safetensors"), "a")
    mine = {f"weight.tinymyo.{k}": v for k, v in ours.encoder.items()}
    mine |= {f"weight.classify.{k}": v for k, v in ours.head.items()} | {"state.1.mean": torch.zeros(3)}
    save_file(mine, tmp_path / "e.safetensors")
    with torch.no_grad():
        first = load(tmp_path / "a.safetensors")(x())
        for name in ("b.safetensors", "c.ckpt", "e.safetensors"):
            assert torch.equal(load(tmp_path / name)(x()), first), name
        assert torch.allclose(load(tmp_path / "d.pt")(x()), first, atol=0.1)
    assert first.shape == (2, 5)


class Omega:  # a settings object as Lightning keeps it in a checkpoint
    pass


Omega.__module__, Omega.__qualname__ = "omegaconf.dictconfig", "DictConfig"


def test_a_lightning_checkpoint_with_settings_is_read_without_its_classes(tmp_path: Path, monkeypatch) -> None:
    import sys
    import types

    module = types.ModuleType("omegaconf.dictconfig")
    module.DictConfig = Omega
    monkeypatch.setitem(sys.modules, "omegaconf.dictconfig", module)
    monkeypatch.setitem(sys.modules, "omegaconf", types.ModuleType("omegaconf"))
    torch.save({"state_dict": published(), "hyper_parameters": Omega()}, tmp_path / "a.ckpt")
    monkeypatch.undo()
    assert len(tensors.read(tmp_path / "a.ckpt")) == len(published())


class Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path: Path, zipped: bool) -> None:
    state = {"state_dict": {**published(), "extra": Bomb(tmp_path / "ran")}}
    torch.save(state, tmp_path / "bad.ckpt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(mf.InputError, match="refused") as error:
        load(tmp_path / "bad.ckpt")
    assert "\n" not in str(error.value) and not (tmp_path / "ran").exists()
    assert "weights_only" not in str(error.value), "torch's advice to load it nevertheless is no help"


@pytest.mark.parametrize("name", ["eval", "exec", "getattr", "__import__"])
def test_no_name_outside_the_list_is_ever_looked_up(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "bad.pt", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(None)[:-2] + f"cbuiltins\n{name}\n.".encode())
    with pytest.raises(mf.InputError, match=rf"asks for builtins\.{name}"):
        tensors.read(tmp_path / "bad.pt")


def test_a_storage_smaller_than_its_tensor_is_an_error(tmp_path: Path) -> None:
    torch.save({"a": torch.arange(8.0)}, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as old, zipfile.ZipFile(tmp_path / "b.pt", "w") as new:
        for item in old.namelist():
            data = old.read(item)
            new.writestr(item, data[:8] if item.endswith("data/0") else data)
    with pytest.raises(mf.InputError, match="not a readable checkpoint"):
        tensors.read(tmp_path / "b.pt")


def test_a_small_file_does_not_fill_the_memory(tmp_path: Path) -> None:
    """A tensor of a thousand billion numbers that all lie on one, and a storage that packs to nothing."""
    torch.save({"a": torch.zeros(1).expand(3)}, tmp_path / "a.pt")
    with pytest.raises(mf.InputError, match=r"a tensor of the shape \(3,\) lies on 1 stored numbers"):
        tensors.read(tmp_path / "a.pt")
    torch.save({"a": torch.ones(2)}, tmp_path / "b.pt")
    with (
        zipfile.ZipFile(tmp_path / "b.pt") as old,
        zipfile.ZipFile(tmp_path / "c.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for item in old.namelist():
            new.writestr(item, old.read(item) + bytes(50_000_000 if item.endswith("data/0") else 0))
    tracemalloc.start()
    assert tensors.read(tmp_path / "c.pt")["a"].tolist() == [1, 1]
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_damaged_and_foreign_files_give_one_clear_line(tmp_path: Path) -> None:
    save_file(published(), tmp_path / "a.safetensors")
    whole = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.ckpt").write_bytes(b"")
    (tmp_path / "weights.h5").write_bytes(b"x")
    save_file({"weird": torch.zeros(2)}, tmp_path / "other.safetensors")
    for name, words in (
        ("cut.safetensors", "not a whole safetensors file"),
        ("empty.ckpt", "not a readable checkpoint"),
        ("weights.h5", "weights are read from"),
        ("gone.ckpt", "there are no weights at"),
        ("other.safetensors", "holds no TinyMyo encoder"),
    ):
        with pytest.raises(mf.InputError, match=words) as error:
            load(tmp_path / name)
        assert "\n" not in str(error.value), name


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"patch_embedding.patch_embed.proj.weight": (8, 2, 1, 4)}, "a convolution over several channels"),
        ({"patch_embedding.patch_embed.proj.weight": (8,)}, r"embed.weight has the shape \(8,\), where 2 axes are"),
        ({"patch_embedding.patch_embed.proj.weight": (0, 1, 1, 4)}, "none empty"),
        ({"model_head.classifier.weight": (40,)}, "classifier.weight has the shape"),
        ({"model_head.classifier.weight": None}, "holds no head of that kind: there is no classifier.weight"),
        ({"blocks.1000000000.norm1.weight": (8,)}, r"has blocks 0, 1, 1000000000, which are not 0, 1, 2"),
        ({"blocks.last.norm1.weight": (8,)}, r"has blocks 0, 1, last, which are not 0, 1, 2"),
    ],
)
def test_shapes_that_mean_something_else_are_refused(changes: dict, said: str, tmp_path: Path) -> None:
    given = published()
    for name, shape in changes.items():
        given.pop(f"model.{name}", None)
        if shape is not None:
            given[f"model.{name}"] = torch.zeros(shape)
    save_file(given, tmp_path / "a.safetensors")
    with pytest.raises(mf.InputError, match=said):
        load(tmp_path / "a.safetensors")


def test_a_head_of_the_mean_over_channels_takes_any_number_of_them(tmp_path: Path) -> None:
    given = published()
    given["model.model_head.classifier.weight"] = torch.randn(5, WIDTH)
    save_file(given, tmp_path / "a.safetensors")
    for channels in (2, 5):
        assert load(tmp_path / "a.safetensors", channels=channels)(x(channels)).shape == (2, 5)


def test_every_missing_odd_and_left_over_tensor_is_named(tmp_path: Path) -> None:
    names = published(embed=True)
    del names["model.blocks.1.norm2.bias"]
    names["model.blocks.0.attn.proj.bias"] = torch.zeros(WIDTH + 1)
    names["model.extra"] = torch.zeros(1)
    save_file(names, tmp_path / "a.safetensors")
    with pytest.raises(mf.InputError) as error:
        load(tmp_path / "a.safetensors")
    text = str(error.value)
    assert "missing: blocks.1.norm2.bias" in text and "not used: channel_embed, extra" in text.replace(
        "extra, channel_embed", "channel_embed, extra"
    )
    assert "blocks.0.attn.proj.bias is (9,), the network's (8,)" in text
    names["model.blocks.0.attn.proj.bias"] = torch.zeros(WIDTH)
    save_file(names, tmp_path / "a.safetensors")
    load(tmp_path / "a.safetensors", allow_unused=("channel_embed", "ext*"), allow_missing=("blocks.1.norm2.bias",))


def test_rotary_positions_want_a_channel_embedding_or_leave_to_invent_one(tmp_path: Path) -> None:
    save_file(published(), tmp_path / "old.safetensors")
    save_file(published(embed=True), tmp_path / "new.safetensors")
    with pytest.raises(mf.InputError, match="missing: channel_embed"):
        load(tmp_path / "old.safetensors", positions="rotary")
    load(tmp_path / "old.safetensors", positions="rotary", allow_missing=("channel_embed",))
    model = load(tmp_path / "new.safetensors", positions="rotary")
    with torch.no_grad():
        turned = model(x().flip(1)) - model(x())
    assert turned.abs().max() > 1e-3


def test_another_number_of_channels_is_refused_unless_a_rule_is_chosen(tmp_path: Path) -> None:
    save_file(published(embed=True), tmp_path / "a.safetensors")
    path, rotary = tmp_path / "a.safetensors", {"positions": "rotary"}
    with pytest.raises(mf.InputError, match=r"made for 3 channels, here are only 2.*choose pad or interpolate"):
        load(path, channels=2, **rotary)
    with pytest.raises(mf.InputError, match=r"here are as many as 5.*choose subset or interpolate"):
        load(path, channels=5, **rotary)
    with pytest.raises(mf.InputError, match="cannot be interpolated"):
        load(path, channels=5, rule="interpolate", **rotary)
    with pytest.raises(mf.InputError, match=r"takes .batch, 3 channels, 20 samples., got"):
        load(path, **rotary)(x(4))
    with torch.no_grad():
        whole = load(path, **rotary)
        assert torch.equal(load(path, channels=5, rule="subset", **rotary)(x(5)), whole(x(5)[:, :3]))
        few = load(path, channels=2, rule="pad", **rotary)
        padded = few(x(2))
        noise = torch.cat((x(2), 100 * torch.randn(2, 1, SAMPLES)), 1)
        present = torch.tensor([[True, True, False]]).expand(2, -1)
        tokens = few.encoder(few.patches(noise), None, present) * present[..., None, None]
        assert torch.allclose(few.head(tokens), padded, atol=1e-6)  # nobody attends to what is not there
        tokens = load(path, channels=4, rule="interpolate", head="none", allow_unused=("classifier.*",), **rotary)(x(4))
    assert tokens.shape == (2, 4, 5, WIDTH)


def test_interpolated_channels_stand_on_a_closed_ring() -> None:
    embed = torch.tensor([0.0, 1.0, 2.0, 1.0]).reshape(1, 4, 1, 1)
    twice = fit_channels(embed, 8, "interpolate", "it").flatten()
    assert twice.tolist() == [0, 0.5, 1, 1.5, 2, 1.5, 1, 0.5]
    assert fit_channels(embed, 2, "interpolate", "it").flatten().tolist() == [0, 2]


def test_masked_samples_and_masked_patches_mean_the_same(tmp_path: Path) -> None:
    save_file(published("decoder_pred"), tmp_path / "a.safetensors")
    model = load(tmp_path / "a.safetensors")
    mask = torch.rand(2, CHANNELS, 5, generator=torch.Generator().manual_seed(2)) < 0.5
    hidden = torch.where(mask.repeat_interleave(PATCH, 2), 99.0, x())
    with torch.no_grad():
        out = model(x(), mask=mask)
        assert out.shape == (2, CHANNELS * 5, PATCH)
        assert torch.equal(model(hidden, mask=mask.repeat_interleave(PATCH, 2)), out)  # what is hidden has no say
        assert (model(hidden) - out).abs().max() > 1


@pytest.mark.data
def test_a_sixteen_channel_classifier_keeps_its_column_order(tmp_path: Path) -> None:
    path = REFERENCE / "classify_8ch_6.weights.safetensors"
    if not path.is_file():
        pytest.skip("no reference")
    given = load_file(path)
    weight = given["model.model_head.classifier.weight"]
    silent = torch.cat((weight, torch.zeros_like(weight)), 1)  # columns are channel-major: 8 more channels say nothing
    given["model.model_head.classifier.weight"] = silent
    save_file(given, tmp_path / "b.safetensors")
    small = mf.load_model(path, channels=8, samples=1000, positions="none")
    big = mf.load_model(tmp_path / "b.safetensors", channels=8, samples=1000, positions="none", rule="pad")
    x = torch.randn(1, 8, 1000)
    with torch.no_grad():
        assert torch.allclose(small(x), big(x), atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"channels": -1}, "channels must be a whole number above zero, got -1"),
        ({"channels": "3"}, "channels must be a whole number above zero, got '3'"),
        ({"channels": 2.5}, "channels must be a whole number"),
        ({"samples": 0}, "samples must be a whole number above zero, got 0"),
        ({"heads": 0}, "heads must be a whole number"),
        ({"heads": 3}, "8 wide, which cannot be shared by 3 heads"),
        ({"heads": 8, "positions": "flat"}, "8 wide, which cannot be shared evenly in pairs by 8 heads"),
        ({"steps": 0}, "steps must be a whole number"),
        ({"rule": "padding"}, "rule is one of exact, pad, interpolate, subset, got 'padding'"),
        ({"positions": "learned"}, "positions is one of rotary, flat, none, got 'learned'"),
        ({"head": "classifier"}, "head is one of reconstruct, classify, regress, none, got 'classifier'"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(changes: dict, said: str, tmp_path: Path) -> None:
    save_file(published(), tmp_path / "a.safetensors")
    with pytest.raises(InputError, match=said):
        load(tmp_path / "a.safetensors", **changes)
    with pytest.raises(InputError, match="path is where weights are"):
        load(None)  # type: ignore[arg-type]


def test_inputs_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    save_file(published("decoder_pred"), tmp_path / "a.safetensors")
    model = load(tmp_path / "a.safetensors")
    with pytest.raises(InputError, match=r"takes torch tensors, got ndarray"):
        model(x().numpy())
    with pytest.raises(InputError, match=r"a mask is of bools"):
        model(x(), mask=torch.zeros(2, CHANNELS, 5))
    with pytest.raises(InputError, match=r"takes torch.float32, got torch.float64"):
        model(x().double())


def test_a_run_says_how_many_heads_it_has(tmp_path: Path) -> None:
    """Six features a head, where one per 64 would be one head: the exported folder's config tells."""
    import json

    torch.manual_seed(0)
    encoder = Encoder(channels=CHANNELS, patches=5, features=PATCH, width=12, layers=1, heads=2).eval()
    found = {f"tinymyo.{k}": v for k, v in encoder.state_dict().items()}
    save_file(found, tmp_path / "model.safetensors")
    sizes = {"positions": "rotary", "heads": None}
    with torch.no_grad():
        wrong = load(tmp_path, **sizes)(x())
        (tmp_path / "config.json").write_text(json.dumps({"stages": [{"stage": "tinymyo", "heads": 2}]}))
        right = load(tmp_path, **sizes)(x())
        expected = encoder(x().reshape(2, CHANNELS, 5, PATCH))
    assert torch.equal(right, expected) and not torch.allclose(wrong, expected)
    told = [{"stage": "tokens"}, {"stage": "tinymyo", "heads": 2}]
    (tmp_path / "config.json").write_text(json.dumps({"stages": told}))
    with pytest.raises(InputError, match="an encoder of what tokens gives, not of samples"):
        load(tmp_path, **sizes)
    told[0]["stage"] = "patch"
    (tmp_path / "config.json").write_text(json.dumps({"stages": told}))
    with pytest.raises(InputError, match="was trained with heads: 2"):
        load(tmp_path, positions="rotary", heads=3)
