"""Silent speech live: words and voice of an utterance that goes on are those of the whole, however the signal comes."""

from __future__ import annotations

import itertools
import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("librosa")

import myoflow as mf
from myoflow.dsp.mel import HOP, RATE_HZ
from myoflow.dsp.running_voice import whole
from myoflow.engine import Parameters
from myoflow.errors import InputError, RecipeError
from myoflow.live.block import Block, Signal
from myoflow.live.chunks import Chunks
from myoflow.live.command import stopping
from myoflow.live.lines import line_of
from myoflow.live.output import Notice, Output
from myoflow.live.session import Session
from myoflow.live.source import Connection, Context, Ended, Source
from myoflow.models import pipelines, plan_recipe
from myoflow.network import build
from myoflow.pipeline import Pipeline, compile_flow, compile_steps
from myoflow.recipe import load
from myoflow.speech.ask import heads_of
from myoflow.speech.known import Known
from myoflow.speech.known import load as load_known
from myoflow.speech.sentences import Sentences, frames_of, text_of
from myoflow.speech.speaking import Speaking
from myoflow.speech.words import log_softmax
from myoflow.text.beam import Decoder, Weights
from myoflow.text.ngram import build as build_model

PAUSE_S = 0.3


def emg(seconds: float, seed: int = 0) -> np.ndarray:
    """Bursts of noise with rests between them."""
    rng = np.random.default_rng(seed)
    count = round(seconds * 1000)
    loudness = np.repeat(rng.choice([0.05, 1.0, 3.0], count // 150 + 1), 150)[:count]
    return (20.0 * loudness * rng.standard_normal((8, count))).astype(np.float32)


def loud(seed: int = 0) -> Pipeline:
    """The shipped recipe's pipeline with fresh weights, whose letters are sure of themselves."""
    import torch

    recipe = load("silent_speech_live")
    plan = plan_recipe(recipe)["tinymyo"]
    torch.manual_seed(seed)
    (segment,) = plan.segments(next(step.index for step in plan.steps if step.stage.cuts) + 1)
    weights = {name: tensor.numpy().copy() for name, tensor in build(segment).state_dict().items()}
    fresh = compile_steps(plan, Parameters(weights=weights)).whole(emg(7.3))[0]
    for head, part in plan.steps[-1].stage.split(plan.steps[-1].before, fresh).items():  # type: ignore[attr-defined]
        mean, spread = part.mean(0), part.std(0) / {"text": 4.0, "audio": 0.3}.get(head, 1.0)
        stem = next(name for name in weights if f"branches.{head}." in name).rpartition(".")[0]
        weights[f"{stem}.weight"] /= spread[:, None]
        weights[f"{stem}.bias"] = (weights[f"{stem}.bias"] - mean) / spread
        if head == "text":
            weights[f"{stem}.bias"][-1] += 9.0  # often blank
    return pipelines(recipe)["tinymyo"].with_parameters(Parameters(weights=weights))


SPEC = plan_recipe(load("silent_speech_live"))["tinymyo"].input
PIPELINE = loud()
PLAN = PIPELINE.plan(SPEC)
KNOWN = Known(Decoder(width=4), np.full(80, -7.0), 4.0, PAUSE_S)


def session(pieces: Iterator[np.ndarray] | list[np.ndarray] | Source, **more: object) -> Session:
    source = pieces if isinstance(pieces, Source) else Chunks(pieces)
    more = {"listen": lambda plan: Speaking(plan, KNOWN), **more}
    return Session(PIPELINE, source, Context(SPEC), **more)  # type: ignore[arg-type]


def offline(x: np.ndarray) -> tuple[str, np.ndarray]:
    """Text and sound of the whole, as the task asks for them offline: whole at once, and from that the rest."""
    frames = compile_flow(PLAN, PIPELINE.parameters).whole(x)[0]
    seen = compile_steps(PLAN, PIPELINE.parameters).whole(x)[0]  # by the network that sees it at once under its mask
    np.testing.assert_allclose(frames, seen, atol=1e-4)
    parts = PLAN.steps[-1].stage.split(PLAN.steps[-1].before, frames)  # type: ignore[attr-defined]
    pause = frames_of(PAUSE_S, PLAN.output.rate_hz)
    assert KNOWN.decoder is not None
    text = text_of(KNOWN.decoder, log_softmax(parts["text"]), pause)
    return text, whole(KNOWN.bands(parts["audio"].reshape(2 * len(frames), -1)))


def texts(outputs: list[Output]) -> list[tuple[float, float, str]]:
    return [(o.said.start_s, o.said.end_s, o.said.text) for o in outputs if o.said and o.said.kind == "text"]


def sound(outputs: list[Output]) -> np.ndarray:
    return np.concatenate([o.values[0] for o in outputs if o.said and o.said.kind == "sound"])


def test_text_and_voice_are_those_of_the_whole_utterance() -> None:
    x = emg(7.3)
    text, wave = offline(x)
    live = list(session(list(np.array_split(x, 50, axis=1))))
    said = texts(live)
    assert " ".join(t for _, _, t in said) == text and len(said) > 2, "some pauses part it"
    made = sound(live)
    assert np.array_equal(made, wave)
    starts = [o.said.start_s for o in live if o.said and o.said.kind == "sound"]
    ends = [o.said.end_s for o in live if o.said and o.said.kind == "sound"]
    assert starts[0] == 0 and starts[1:] == ends[:-1] and ends[-1] == pytest.approx(len(made) / RATE_HZ)
    for output in live:
        assert output.said is not None
        last = output.said.end_s if output.said.kind != "text" else output.said.start_s
        assert last <= output.time_s + 2 * HOP / RATE_HZ, "nothing is said of a time that has not come"
    assert [o.time_s for o in live] == sorted(o.time_s for o in live)


@settings(max_examples=4, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=12), st.integers(0, 3))
def test_chunks_of_one_sample_to_ten_seconds_say_the_same(sizes: list[int], seed: int) -> None:
    x = emg(2.6, seed)
    edges = [end for end in itertools.accumulate(sizes) if end < x.shape[1]]
    one = list(session([x]))
    many = list(session(list(np.split(x, edges, axis=1))))
    assert texts(one) == texts(many)
    assert np.array_equal(sound(one), sound(many)), "to the last bit"


def test_single_samples_say_the_same() -> None:
    x = emg(1.2)
    assert texts(list(session(list(np.split(x, 1200, axis=1))))) == texts(list(session([x])))


def test_the_look_ahead_is_at_most_half_a_second() -> None:
    live = list(session([emg(2.0)]))
    words, voice = PLAN.output.delay_s, PLAN.output.delay_s + Speaking(PLAN, KNOWN).delay_s
    told = {(o.said.kind == "sound", o.latency.algorithmic_s) for o in live if o.said}
    assert told == {(False, words), (True, voice)} and 0.3 < words < voice <= 0.5
    x = emg(3.0)
    given_ = [0.0]

    def pieces() -> Iterator[np.ndarray]:
        for k in range(0, x.shape[1], 5):
            given_[0] = (k + 5) / 1000
            yield x[:, k : k + 5]
            time.sleep(0.0005)  # the reading thread asks for the next one early

    behind = []
    for output in session(pieces()):
        if output.said and output.said.kind == "sound" and output.time_s < 2.9:
            behind.append(output.time_s - output.said.start_s)
    assert max(behind) <= 0.5 + 0.005, "the oldest sample that comes with a piece waited no longer"


def test_partial_words_come_before_their_sentence_and_their_stable_part_stays() -> None:
    live = [o.said for o in session(list(np.array_split(emg(7.3), 300, axis=1))) if o.said and o.said.kind != "sound"]
    partial = ""
    for said in live:
        if said.kind == "text":
            assert partial and said.text
            partial = ""
        else:
            assert said.stable <= len(said.text)
            partial = said.text
    kinds = [said.kind for said in live]
    assert kinds.count("partial") > kinds.count("text") > 1


def test_a_gap_ends_the_sentence_and_begins_anew() -> None:
    """Behind a gap that is not filled everything begins anew: what is said then is said of the rest alone."""
    x = emg(6.0)
    blocks = [Block(x[:, at : at + 20], 0.0, first=at) for at in range(0, 6000, 20) if not 2000 <= at < 4000]
    told: list[Notice] = []
    live = list(session(Told(blocks), notice=told.append))
    before, after = list(session([x[:, :2000]])), list(session([x[:, 4000:]]))
    assert [t for *_, t in texts(live)] == [t for *_, t in texts(before)] + [t for *_, t in texts(after)]
    assert [start for start, *_ in texts(live)][-1] == pytest.approx(texts(after)[-1][0] + 4.0)
    assert np.array_equal(sound(live), np.concatenate([sound(before), sound(after)]))
    assert [n.kind for n in told if n.kind != "silence"] == ["gap"]


class Told(Source):
    """Blocks as a device gives them that nobody can hold back."""

    name = "told"

    def __init__(self, blocks: list[Block]) -> None:
        self.blocks, self.over = iter(blocks), threading.Event()

    def open(self, context: Context) -> Connection:
        return _Telling(self)


class _Telling:
    signal = Signal(SPEC.channels, 1000.0, SPEC.units, clock="count")

    def __init__(self, source: Told) -> None:
        self._source = source

    def read(self, timeout_s: float) -> Block | None:
        block = next(self._source.blocks, None)
        if block is None:
            self._source.over.set()
            raise Ended
        return evolve(block, arrived_s=time.perf_counter())

    def close(self) -> None: ...


def test_a_decoder_slower_than_its_source_loses_whole_stretches_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from myoflow.live import intake

    monkeypatch.setattr(intake, "QUEUE_S", 0.5)
    x = emg(6.0)
    blocks = [Block(x[:, at : at + 20], 0.0) for at in range(0, 6000, 20)]
    source = Told(blocks)
    slow = session(source, gaps="restart", notice=lambda n: None)
    for _ in slow:
        assert source.over.wait(120)  # all of it has come, and there is room for half a second
    summary = slow.summary
    assert summary.samples["gap"] == 6000 - summary.taken > 0
    assert summary.outputs and summary.rtf > 0


def test_ctrl_c_ends_the_sentence_in_hand() -> None:
    x = emg(7.3)
    running = session(list(np.array_split(x, 73, axis=1)))
    outputs = []
    with stopping(running):
        for output in running:
            outputs.append(output)
            if output.time_s > 2 and not running._stop:
                signal.raise_signal(signal.SIGINT)
    summary = running.summary
    assert summary.reason == "stopped by Ctrl-C" and 2000 < summary.taken < 7300
    heard = list(session([x[:, : summary.taken]]))
    assert texts(outputs) == texts(heard) and summary.sentences == tuple(t for *_, t in texts(heard))
    assert np.array_equal(sound(outputs), sound(heard))


def test_lines_of_words_and_sound() -> None:
    lines = [json.loads(json.dumps(line_of(o))) for o in session([emg(3.0)])]
    kinds = {line["type"] for line in lines}
    assert kinds == {"partial", "text", "sound"}
    assert all("samples" in line for line in lines if line["type"] == "sound")
    assert all(line["start"] <= line["end"] for line in lines)


def test_a_trained_generator_speaks_piece_by_piece(tmp_path: Path) -> None:
    """The same sound as from all bands at once, to rounding; 6 frames of look-ahead for the smallest one."""
    import torch

    from myoflow.nn.hifigan import SHAPES, Generator
    from myoflow.speech.voicing import Voice, speaker

    torch.manual_seed(0)
    generator = Generator(SHAPES["XS"])
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    path = str(tmp_path / "voice.safetensors")
    Voice(generator).save(Path(path))
    known = Known(None, KNOWN.mean, KNOWN.scale, None, path)
    x = emg(2.0)
    live = list(session(list(np.array_split(x, 20, axis=1)), listen=lambda plan: Speaking(plan, known)))
    frames = compile_flow(PLAN, PIPELINE.parameters).whole(x)[0]
    audio = PLAN.steps[-1].stage.split(PLAN.steps[-1].before, frames)["audio"]  # type: ignore[attr-defined]
    whole_ = speaker(path)(known.bands(audio.reshape(2 * len(frames), -1)))
    assert all(o.said is not None and o.said.kind == "sound" for o in live), "no decoder, no words"
    np.testing.assert_allclose(sound(live), whole_, atol=1e-4)
    assert np.abs(whole_).max() > 0.01
    assert Speaking(PLAN, known).delay_s == pytest.approx(6 * HOP / RATE_HZ)


def test_what_a_model_knows_is_kept_in_its_folder(tmp_path: Path) -> None:
    model = build_model([["one", "two"], ["two", "one", "two"]], 2)
    decoder = Decoder("abcdefghijklmnopqrstuvwxyz ", ("one", "two"), model, Weights(0.5, 1.0), 7)
    Known(decoder, np.linspace(-9, -3, 80), 4.0, 0.8, "v.safetensors").save(tmp_path)
    found = load_known(tmp_path)
    assert found.decoder is not None and found.decoder.model is not None
    assert (found.decoder.lexicon, found.decoder.weights, found.decoder.width) == (decoder.lexicon, Weights(0.5, 1), 7)
    assert found.decoder.model.score(("one",), "two")[0] == pytest.approx(model.score(("one",), "two")[0], abs=1e-6)
    assert np.array_equal(found.mean, np.linspace(-9, -3, 80)) and found.scale == 4.0
    assert (found.pause_s, found.vocoder) == (0.8, "v.safetensors")
    with pytest.raises(InputError, match=r"no speech\.json of this version"):
        load_known(tmp_path / "nowhere")


def test_a_sentence_is_over_at_a_pause_and_not_before() -> None:
    decoder = Decoder("ab ")

    def frames(text: str) -> np.ndarray:
        out = np.full((len(text), 4), -9.0)
        out[np.arange(len(text)), ["ab -".index(letter) for letter in text]] = -0.001
        return out

    logs = frames("--a-b---b-a-----a--")
    sentences = Sentences(decoder, 4)
    found = sentences.feed(logs)
    assert [(s.text, s.first, s.end) for s in found] == [("abba", 2, 11)]
    assert [(s.text, s.first, s.end) for s in sentences.flush()] == [("a", 16, 17)]
    assert text_of(decoder, logs, 4) == "abba a" and text_of(decoder, logs, None) == decoder.text(logs) == "abbaa"
    one = Sentences(decoder, 4)
    pieces = [s for k in range(len(logs)) for s in one.feed(logs[k : k + 1])]
    assert pieces == found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("pipeline.conv_stem.causal=false", "conv_stem: a frame hears samples behind its own; causal: true"),
        ("pipeline.tinymyo.context=null", "tinymyo: sees all of the past"),
        ("pipeline.tinymyo.positions=relative", "relative positions cannot stream; rotary can"),
        ("pipeline.notch.zero_phase=true", "notch with zero_phase: true .* zero_phase: false is causal"),
    ],
)
def test_a_stage_that_cannot_is_refused_by_name_with_what_can(change: str, said: str) -> None:
    with pytest.raises((RecipeError, mf.PlanError), match=said):
        mf.stream(load("silent_speech_live", [change]))


def test_the_plan_of_a_recipe_that_sees_all_names_each_stage_in_the_way() -> None:
    reasons = plan_recipe(load("silent_speech_smoke"))["tinymyo"].output.blockers
    assert [reason.split()[0].rstrip(":") for reason in reasons] == ["notch", "highpass", "conv_stem", "tinymyo"]


def test_another_backend_is_refused() -> None:
    from myoflow.live.decoder import Decoder as Live

    moved = Pipeline(PIPELINE.stages, backend="onnx", parameters=PIPELINE.parameters)
    with pytest.raises(InputError, match="backend 'onnx' takes whole utterances; a live one runs on torch"):
        Live(moved.plan(SPEC), moved.parameters)


def test_a_pipeline_alone_streams_frames() -> None:
    """Without a task nobody decodes: the frames themselves come, those of the whole utterance."""
    x = emg(2.5)
    live = list(mf.stream(PIPELINE, [x[:, :999], x[:, 999:]], spec=SPEC))
    found = np.concatenate([o.values for o in live])
    np.testing.assert_allclose(found, compile_steps(PLAN, PIPELINE.parameters).whole(x)[0], atol=1e-4)
    stream = PIPELINE.stream(SPEC)
    pieces = [stream.feed(x[:, :999]), stream.feed(x[:, 999:]), stream.flush()]
    assert np.array_equal(np.concatenate(pieces, axis=1)[0], found)
    assert len(heads_of(PLAN)) == 3
