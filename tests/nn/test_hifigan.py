"""HiFi-GAN: published sizes and names, folded weights, sound in pieces, ONNX, discriminators and losses."""

import numpy as np
import pytest
import torch

from myoflow import tensors
from myoflow.errors import InputError
from myoflow.nn import discriminators as judges
from myoflow.nn.hifigan import SHAPES, Generator, Shape, fold, load, normalise_weights
from myoflow.nn.synthesis import Synthesis

TINY = Shape(16, (4, 2), (3, 5), ((1, 2), (1, 3)), paired=False, bands=8)
SIZES = {"V1": 13_926_017, "V2": 925_985, "V3": 1_462_273, "S": 401_921, "XS": 99_729}


def loud(generator, seed=0):
    """Weights large enough that every layer matters."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.copy_(torch.randn_like(parameter) * (0.6 / max(1, parameter[0].numel()) ** 0.5))
    return generator.eval()


@pytest.mark.parametrize("name", SIZES)
def test_sizes_are_those_published(name):
    with torch.device("meta"):
        generator = Generator(SHAPES[name])
        assert sum(p.numel() for p in generator.parameters()) == SIZES[name]
        assert generator(torch.zeros(2, 7, 80)).shape == (2, 7 * 256)
    reach = {"V1": 13, "V2": 13, "V3": 11, "S": 11, "XS": 6}
    assert SHAPES[name].lookahead == reach[name]


def test_weight_normalisation_adds_what_the_published_count_says():
    with torch.device("meta"):
        generator = Generator(SHAPES["V1"])
    generator = generator.to_empty(device="cpu")
    normalise_weights(generator)
    assert sum(p.numel() for p in generator.parameters()) == 13_936_130


@pytest.mark.parametrize("name", ["XS", "V2"])
def test_a_sample_depends_on_no_frame_beyond_the_lookahead(name):
    shape = SHAPES[name]
    generator = loud(Generator(shape))
    middle = shape.lookahead + 2
    bands = torch.randn(1, 2 * middle + 1, 80, requires_grad=True)
    sound = generator(bands)[0, middle * 256 : (middle + 1) * 256]
    (slope,) = torch.autograd.grad(sound.square().sum(), bands)
    touched = slope[0].abs().sum(1).nonzero()[:, 0]
    assert touched.min() == middle - shape.lookahead and touched.max() == middle + shape.lookahead


def test_published_checkpoints_load_without_running_them(tmp_path):
    generator = loud(Generator(SHAPES["XS"]))
    published = {}
    for name, value in generator.state_dict().items():
        if name.endswith(".weight"):
            size = 1.0 + torch.rand(value.shape[0], *[1] * (value.ndim - 1))
            norm = value.norm(dim=tuple(range(1, value.ndim)), keepdim=True)
            published[name + "_g"], published[name + "_v"] = norm, value * size
        else:
            published[name] = value
    for name, zipped in (("g_00002500", True), ("checkpoint", False), ("generator_universal.pth.tar", True)):
        torch.save({"generator": published}, tmp_path / name, _use_new_zipfile_serialization=zipped)
        assert tensors.read(tmp_path / name).keys() == published.keys()
    (tmp_path / "notes").write_text("no weights")
    with pytest.raises(InputError, match=r"notes: weights are read from \.safetensors"):
        tensors.read(tmp_path / "notes")
    loaded = load(tensors.read(tmp_path / "g_00002500"))
    bands = torch.randn(1, 12, 80)
    torch.testing.assert_close(loaded(bands), generator(bands), atol=1e-5, rtol=1e-4)
    assert loaded.shape == SHAPES["XS"] and not loaded.training


def test_a_pickle_that_asks_for_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("run",))

    torch.save({"generator": Evil()}, tmp_path / "g_1")
    with pytest.raises(InputError, match=r"g_1 is refused.*print"):
        tensors.read(tmp_path / "g_1")


def test_folding_undoes_both_spellings_of_weight_norm():
    generator = loud(Generator(TINY))
    bands = torch.randn(2, 9, 8)
    want = generator(bands)
    normalise_weights(generator)
    torch.testing.assert_close(generator(bands), want, atol=1e-5, rtol=1e-4)
    plain = load(generator.state_dict(), TINY)
    assert not any("original" in name for name in plain.state_dict())
    torch.testing.assert_close(plain(bands), want, atol=1e-5, rtol=1e-4)
    assert fold({"a.bias": torch.ones(1)}).keys() == {"a.bias"}


def test_weights_of_something_else_are_named():
    state = Generator(TINY).state_dict()
    with pytest.raises(InputError, match="these weights are of none of HiFi-GAN's generators V1, V2"):
        load(state)
    with pytest.raises(InputError, match=r"conv_post\.weight is \(1, 4, 7\) and should be \(1, 8, 7\)"):
        load(state, SHAPES["XS"])


def test_an_odd_rate_still_gives_whole_frames():
    generator = loud(Generator(Shape(16, (5, 3), (3,), ((1, 2),), paired=True, bands=8)))
    assert generator(torch.randn(1, 6, 8)).shape == (1, 90)


@pytest.mark.parametrize("chunks", [[50], [1] * 50, [7, 20, 3, 20], [0, 25, 25]])
def test_sound_in_pieces_is_the_sound_at_once(chunks):
    generator = loud(Generator(TINY))
    bands = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)

    def vocoder(frames):
        with torch.no_grad():
            return generator(torch.from_numpy(np.ascontiguousarray(frames))).numpy()

    want = vocoder(bands[None])[0]
    reach = TINY.lookahead
    synthesis = Synthesis(vocoder, TINY.hop, reach, reach)
    out, at, late = [], 0, []
    for size in chunks:
        out.append(synthesis.feed(bands[at : at + size]))
        at += size
        late.append(at - sum(map(len, out)) // TINY.hop)
    out.append(synthesis.flush())
    np.testing.assert_allclose(np.concatenate(out), want, atol=1e-5)
    assert max(late) <= reach
    hasty = Synthesis(vocoder, TINY.hop, 1, reach)
    early = np.concatenate([*(hasty.feed(row[None]) for row in bands), hasty.flush()])
    assert early.shape == want.shape and np.abs(early - want).max() > 1e-3


def test_the_published_discriminators_have_their_published_sizes():
    with torch.device("meta"):
        parts = judges.Discriminators()
    periods, scales = (sum(p.numel() for n, p in m.named_parameters()) for m in (parts.mpd, parts.msd))
    assert 41.0e6 < periods < 41.2e6 and 29.5e6 < scales < 29.8e6


def test_losses_of_the_game():
    torch.manual_seed(0)
    parts = judges.Discriminators(share=1 / 32)
    sound, other = 0.1 * torch.randn(2, 2, 4096)
    (real, seen), (made, saw) = parts(sound), parts(other)
    assert len(real) == 8 and [len(s) for s in seen] == [6] * 5 + [8] * 3
    ones, zeros = ([torch.full((1, 3), v)] for v in (1.0, 0.0))
    assert judges.discriminator_loss(ones, zeros) == 0 and judges.discriminator_loss(zeros, ones) == 2
    assert judges.adversarial_loss(ones) == 0 and judges.adversarial_loss(zeros) == 1
    assert judges.feature_loss(seen, seen) == 0 and judges.feature_loss(seen, saw) > 0
    judges.adversarial_loss(made).backward()
    assert all(p.grad is not None for p in parts.parameters())


def test_bands_in_torch_are_those_of_numpy():
    pytest.importorskip("librosa")
    from myoflow.dsp import mel
    from myoflow.nn.spectra import LogMel, Resolutions

    sound = 0.3 * np.random.default_rng(0).standard_normal(9000).clip(-1, 1).astype(np.float32)
    for top in (8000.0, None):
        got = LogMel(top)(torch.from_numpy(sound)[None])[0].numpy()
        np.testing.assert_allclose(got, mel.log_mel(sound, top_hz=top), atol=2e-4)
    there = torch.from_numpy(sound)[None]
    distance = Resolutions()
    assert distance(there, there) < 1e-6 < distance(0.5 * there, there)
