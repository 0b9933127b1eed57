"""Stages of silent speech: known answers, plans, and the errors of their fields."""

from __future__ import annotations

import numpy as np
import pytest

from myoflow.errors import PlanError
from myoflow.heads import Heads
from myoflow.pipeline import Pipeline, compile_steps
from myoflow.spec import FRAMES, UTTERANCES, Spec
from myoflow.stages.conv_stem import ConvStem
from myoflow.stages.ctc import Ctc
from myoflow.stages.interpolate import Interpolate
from myoflow.stages.mel import Mel
from myoflow.stages.perturb import Perturb
from myoflow.stages.phonemes import Phonemes
from myoflow.stages.rectify import Rectify
from myoflow.stages.resample import Resample
from myoflow.stages.squash import Squash
from myoflow.stages.tinymyo import TinyMyo
from myoflow.stages.utterance import Utterance

SIGNAL = Spec.signal(8, 1000.0, units="uV", labels=("sil", "aa"))


def test_squash_is_the_published_formula_in_any_unit():
    x = np.array([[-5e3, -20.0, 0.0, 1.0, 100.0, 1e4]], np.float32)
    expected = 50 * np.tanh(x / 20 / 50)
    one = SIGNAL.with_channels(("a",))
    stage = Squash(limit="1 mV", scale="20 uV")  # type: ignore[arg-type]
    for units, unit in (("uV", 1e-6), ("mV", 1e-3), ("V", 1.0)):
        spec = one.evolve(units=units)
        found = stage.kernel(spec).feed((x * 1e-6 / unit).astype(np.float32))
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert stage.plan(one).units == "1"
    assert Squash(limit=1e-3).plan(one).units == "uV"
    small = np.full((1, 1), 1.0, np.float32)
    np.testing.assert_allclose(Squash(limit=1e-3).kernel(one).feed(small), small, rtol=1e-5)


def test_interpolate_is_numpys_and_lets_aliases_through_where_resample_does_not():
    t = np.arange(2000) / 1000
    x = np.sin(2 * np.pi * 450 * t)[None].astype(np.float32)
    spec, rate = SIGNAL.with_channels(("a",)), 689.0625
    found = Interpolate(rate=rate).kernel(spec).feed(x)
    grid = np.arange(0, (len(t) - 1) / 1000, 1 / rate)
    np.testing.assert_allclose(found[0], np.interp(grid, t, x[0]), atol=1e-5)
    kernel = Resample(rate=rate).kernel(spec)
    clean = np.concatenate([kernel.feed(x), kernel.flush()], 1)
    assert np.std(found) > 0.3  # 450 Hz lies above 344 Hz and comes back at 239 Hz
    assert np.std(clean[:, 50:-50]) < 0.01


def test_a_whole_recording_goes_through_to_the_heads_side_by_side():
    heads = Heads({"audio": (Mel(bands=40, features="mfcc26"),), "text": (Ctc(characters="ab "),)})
    pipeline = Pipeline([Squash(limit=1e-3), Utterance(), ConvStem(widths=(4,), strides=(8,)), TinyMyo(1, 8, 2), heads])
    plan = pipeline.plan(SIGNAL)
    assert plan.steps[1].after.dims == UTTERANCES
    assert (plan.output.dims, plan.output.sizes, plan.output.rate_hz) == (FRAMES, (None, None, 30), 125.0)
    assert plan.output.blockers
    from myoflow.engine import Parameters
    from myoflow.network import build

    weights = build(plan.segments(2)[0]).state_dict()
    chain = compile_steps(plan, Parameters(weights={name: w.numpy() for name, w in weights.items()}))
    x = np.random.default_rng(0).standard_normal((8, 1003)).astype(np.float32)
    out = chain.whole(x)
    assert out.shape == (1, 126, 30)
    parts = heads.split(plan.steps[-1].before, out)
    assert {name: part.shape[-1] for name, part in parts.items()} == {"audio": 26, "text": 4}


def test_perturb_repeats_by_seed_and_keeps_its_limits():
    stage, x = Perturb(channel_gain=0.1, gap=50, gap_chance=1, channel_drop=1), np.ones((20, 8, 400), np.float32)
    one, two = (stage.apply(x, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one, two) and one.dtype == np.float32
    assert (x == 1).all()
    for y in one:
        dead = ~y.any(axis=1)
        assert dead.sum() == 1
        zero = ~y[~dead].any(axis=0)
        tail = 400 - np.flatnonzero(~zero)[-1] - 1
        gap = np.flatnonzero(zero[: 400 - tail])
        assert tail < 8 + 50 and len(gap) < 50 and (not len(gap) or np.ptp(gap) == len(gap) - 1)
        assert 0.6 < y[~dead].max() < 1.6
    none = Perturb(shift=1, channel_gain=0, gap_chance=0, channel_drop=0)
    assert np.array_equal(none.apply(x, np.random.default_rng(0)), x)


FRAME = Spec(FRAMES, (None, None, 16), 86.0, SIGNAL.channels, labels=("sil", "aa"))


@pytest.mark.parametrize(
    ("stage", "spec", "field", "words"),
    [
        (Squash(limit=0.0), SIGNAL, "limit", "above 0 V"),
        (Squash(limit=1.0), SIGNAL.evolve(units="1"), "limit", "takes a signal in V"),
        (Interpolate(rate=float(np.pi)), SIGNAL, "rate", "nearest rate"),
        (Utterance(longest=0.1), SIGNAL, None, "shortest < longest"),
        (ConvStem(strides=(2, 2)), Utterance().plan(SIGNAL), "strides", "one stride for each of its 3 blocks"),
        (ConvStem(widths=()), Utterance().plan(SIGNAL), "widths", "1 or more"),
        (ConvStem(), SIGNAL, None, "takes \\(utterance, channel, time\\)"),
        (Ctc(characters="aa"), FRAME, "characters", "each once"),
        (Mel(bands=2), FRAME, "bands", "26 bands or more"),
        (Phonemes(), FRAME.evolve(labels=()), None, "two phonemes"),
        (TinyMyo(lookahead=0.001), FRAME, "lookahead", "a frame"),
        (Heads({"text": (Rectify(),)}), FRAME, None, "heads.text: rectify is no learned stage"),
        (Perturb(channel_drop=2.0), Utterance().plan(SIGNAL), "channel_drop", "probability"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_field_errors(stage, spec, field, words):
    with pytest.raises(PlanError, match=words) as caught:
        stage.plan(spec)
    assert caught.value.field == field
