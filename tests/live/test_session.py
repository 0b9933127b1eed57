"""Streaming is offline: the same numbers however the signal comes; what is late is dropped, and said."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import myoflow as mf
from myoflow import library
from myoflow.engine import Parameters
from myoflow.errors import InputError, PlanError, RecipeError
from myoflow.live.block import Block, Signal
from myoflow.live.chunks import Chunks
from myoflow.live.open import decoder_of
from myoflow.live.output import Notice, Output
from myoflow.live.source import Connection, Context, Ended, Lost, Source
from myoflow.models import pipelines, plan_recipe
from myoflow.network import build
from myoflow.pipeline import Pipeline, compile_steps, flowing
from myoflow.recipe import load
from myoflow.run import Run
from myoflow.spec import Spec
from myoflow.training.fit import learned


def cut(x: np.ndarray, sizes: Iterator[int]) -> Iterator[np.ndarray]:
    at = 0
    while at < x.shape[1]:
        size = next(sizes)
        yield x[:, at : at + size]
        at += size


def sizes_of(seed: int, rate: float) -> Iterator[int]:
    """From one sample to ten seconds, even on a logarithmic scale."""
    rng = np.random.default_rng(seed)
    while True:
        yield int(np.exp(rng.uniform(0, np.log(10 * rate))))


def random_parameters(pipeline: Pipeline, spec: Spec) -> Parameters:
    """Numbers for everything that learns: states fitted on noise, networks with fresh weights."""
    plan = pipeline.plan(spec)
    rng = np.random.default_rng(0)
    states = {}
    window = plan.cut
    step_s = plan.steps[window].after.step_s
    assert step_s
    x = noise(spec, int((10 + 4 * step_s * len(spec.labels)) * spec.rate_hz))  # some windows of every label
    for step in plan.steps:
        if not step.stage.fits:
            continue
        parameters = Parameters(states=states)
        before = x if step.index == 0 else compile_steps(plan, parameters, 0, step.index).whole(x)
        y = None if step.index <= window else np.arange(len(before)) % max(1, len(spec.labels))
        if y is not None and "target" in plan.output.dims:
            y = rng.standard_normal((len(before), *map(int, plan.output.sizes[1:])))  # type: ignore[arg-type]
        if y is not None and "frame" in step.before.dims:  # what each frame bears, often nothing
            kinds = rng.integers(0, len(spec.labels) + 1, before.shape[:2])
            y = np.eye(len(spec.labels) + 1)[kinds][..., 1:]
        states[step.index] = step.stage.fit(step.before, [(before, y)])
    network = learned(plan, window + 1)
    weights = {}
    if network is not None:
        weights = {name: tensor.numpy().copy() for name, tensor in build(network).state_dict().items()}
        for name, value in weights.items():
            if value.dtype == np.float32:
                weights[name] = value + 0.02 * rng.standard_normal(value.shape).astype(np.float32)
    return Parameters(states=states, weights=weights)


def noise(spec: Spec, count: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    return (2e-5 * rng.standard_normal((spec.size("channel"), count))).astype(np.float32)


def cases() -> list[tuple[str, str]]:
    """Every shipped recipe's models that can stream window by window; utterances are test_speaking.py's."""
    found = []
    for name in library.names("recipes"):
        for model, plan in plan_recipe(load(name)).items():
            if not plan.output.blockers and not flowing(plan):
                found.append((name, model))
    return found


@pytest.mark.parametrize("name, model", cases())
def test_every_shipped_recipe_streams_as_it_runs_offline(name: str, model: str) -> None:
    """Sample for sample up to the windows, decision for decision behind them; chunks of 1 sample to 10 s."""
    recipe = load(name)
    spec = plan_recipe(recipe)[model].input
    pipeline = pipelines(recipe)[model]
    pipeline = pipeline.with_parameters(random_parameters(pipeline, spec))
    plan = pipeline.plan(spec)
    assert plan.output.step_s and plan.output.window_s
    long = noise(spec, int(12 * spec.rate_hz))
    few = 2 if sum(step.cost.macs for step in plan.steps[plan.cut :]) > 2e8 else 20  # networks take their time
    x = long[:, : int((plan.output.window_s + few * plan.output.step_s) * spec.rate_hz)]
    offline = compile_steps(plan, pipeline.parameters).whole(x)
    stop = plan.cut + 1
    signal = Pipeline(pipeline.stages[: stop - 1], parameters=pipeline.parameters)
    for seed in range(2 if model.startswith("lda") else 1):
        live = list(mf.stream(pipeline, cut(x, sizes_of(seed, spec.rate_hz)), spec=spec))
        scores = np.stack([output.values for output in live])
        assert scores.shape == offline.shape
        np.testing.assert_allclose(scores, offline, atol=1e-5 * np.abs(offline).max())
        if live[0].label is not None:
            assert [o.label for o in live] == [spec.labels[i] for i in offline.argmax(axis=1)]
        step, window = plan.output.step_s, plan.output.window_s
        assert step and window
        assert [o.end_s for o in live] == pytest.approx([k * step + window for k in range(len(offline))])
        pieces = [o.values for o in mf.stream(signal, cut(long, sizes_of(seed, spec.rate_hz)), spec=spec)]
        exact = compile_steps(plan, pipeline.parameters, 0, stop - 1).whole(long)
        assert np.array_equal(np.concatenate(pieces, axis=1), exact)


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(sizes=st.lists(st.integers(1, 700), min_size=1), seed=st.integers(0, 9))
def test_time_is_that_of_the_newest_sample(sizes: list[int], seed: int) -> None:
    """No output claims a newer sample than was there, nor an older one than it needs; a resampler looks ahead."""
    spec = Spec.signal(2, 1000.0, labels=("a", "b"))
    stages = [mf.Bandpass(low=20.0, high=200.0), mf.Resample(rate=500.0), mf.Window(length="60 ms", stride="20 ms")]
    pipeline = Pipeline([*stages, mf.Features()])
    x = noise(spec, 1500)
    given_: list[int] = []

    def source() -> Iterator[np.ndarray]:
        for piece in cut(x, itertools.cycle(sizes)):
            given_.append(piece.shape[1])
            yield piece

    outputs = list(mf.stream(pipeline, source(), spec=spec))
    delay = pipeline.plan(spec).output.delay_s - 0.06
    assert delay > 0
    for number, output in enumerate(outputs):
        assert output.end_s == pytest.approx(number * 0.02 + 0.06)
        assert output.end_s <= output.time_s <= min(1.5, output.end_s + delay) + 1e-9
        assert output.latency.algorithmic_s == pytest.approx(delay + 0.06)
    assert [o.time_s for o in outputs] == sorted(o.time_s for o in outputs)


Script = list[Block | float | Exception | Callable[[], object]]
LONG_S = 120.0  # what never takes as long, unless it hangs
PATIENT = {"lag_s": 600.0, "notice": lambda notice: None}  # on a busy machine a window may wait; none is dropped


class Scripted(Source):
    """A source that gives blocks as a device does that nobody can hold back; between them it sleeps, breaks or calls
    what the script says: a call comes when everything before it is in the queue."""

    name = "scripted"

    def __init__(self, script: Script, signal: Signal) -> None:
        self.script, self.given = iter(script), signal
        self.opened = 0

    def open(self, context: Context) -> Connection:
        self.opened += 1
        return _Playing(self)


class _Playing:
    def __init__(self, source: Scripted) -> None:
        self.signal, self._script = source.given, source.script

    def read(self, timeout_s: float) -> Block | None:
        what = next(self._script, None)
        if what is None:
            raise Ended
        if isinstance(what, Exception):
            raise what
        if isinstance(what, float):
            time.sleep(what)
            return None
        if callable(what):
            what()
            return None
        return evolve(what, arrived_s=time.perf_counter())

    def close(self) -> None: ...


SIGNAL = Signal(("ch1", "ch2"), 1000.0, clock="count")
WINDOWS = Pipeline([mf.Window(length="50 ms", stride="50 ms")])


def blocks(x: np.ndarray, size: int, start: int = 0) -> Script:
    return [Block(x[:, at : at + size], 0.0, first=start + at) for at in range(0, x.shape[1], size)]


def test_a_gap_is_filled_or_begun_anew_and_marked_in_the_output() -> None:
    x = noise(SIGNAL.spec(), 1000)
    script = blocks(x[:, :420], 20) + blocks(x[:, 440:], 20, start=440)
    told: list[Notice] = []
    held = list(mf.stream(WINDOWS, Scripted(script, SIGNAL), lag_s=600.0, notice=told.append))
    filled = x.copy()
    filled[:, 420:440] = x[:, 419:420]
    assert np.array_equal(np.concatenate([o.values for o in held], axis=1), filled)
    assert [o.filled for o in held] == [0] * 8 + [20] + [0] * 11
    assert [n.kind for n in told if n.kind != "silence"] == ["gap"]
    anew = list(mf.stream(WINDOWS, Scripted(script, SIGNAL), gaps="restart", lag_s=600.0, notice=told.append))
    assert [round(1000 * o.end_s) for o in anew] == [*range(50, 401, 50), *range(490, 1000, 50)]
    assert np.array_equal(anew[8].values, x[:, 440:490])


def test_a_source_that_dies_and_returns_goes_on() -> None:
    x = noise(SIGNAL.spec(), 600)
    script = [*blocks(x[:, :300], 20), Lost("the cable is out"), 0.05, *blocks(x[:, 300:], 20, start=9000)]
    source = Scripted(script, SIGNAL)
    session = mf.stream(WINDOWS, source, **PATIENT)
    outputs = list(session)
    assert source.opened == 2
    assert [n.kind for n in session.notices if n.kind != "silence"][:2] == ["lost", "returned"]
    times = [o.time_s for o in outputs]
    assert times == sorted(times) and len(set(times)) == len(times)
    assert np.array_equal(outputs[-1].values, x[:, 550:600]) or session.summary.made


def test_a_source_that_stays_away_is_an_error() -> None:
    class Dead(Scripted):
        def open(self, context: Context) -> Connection:
            if self.opened:
                raise Lost("still out")
            return super().open(context)

    source = Dead([*blocks(noise(SIGNAL.spec(), 100), 20), Lost("the cable is out")], SIGNAL)
    with pytest.raises(mf.MyoflowError, match=r"the cable is out, and did not come back within 0\.6 s"):
        list(mf.stream(WINDOWS, source, patience_s=0.6, notice=lambda n: None))


def test_a_late_decoder_drops_whole_windows_and_says_so() -> None:
    """With each output the source gives five windows more, which are too old when the next one is asked for."""
    x = noise(SIGNAL.spec(), 1500)
    ask, given_ = threading.Semaphore(1), threading.Semaphore(0)
    script: Script = []
    for one in blocks(x, 50):
        script += [lambda: ask.acquire(timeout=LONG_S), one, given_.release]
    told: list[Notice] = []
    session = mf.stream(WINDOWS, Scripted(script, SIGNAL), lag_s=0.02, notice=told.append)
    outputs: list[Output] = []
    left = 29
    for output in session:
        outputs.append(output)
        if len(outputs) == 1:
            assert given_.acquire(timeout=LONG_S)
        more = min(5, left)
        left -= more
        for _ in range(more):
            ask.release()
            assert given_.acquire(timeout=LONG_S)
        time.sleep(0.03)  # above the lag, whatever else the machine does
    summary = session.summary
    assert (summary.outputs, summary.dropped) == (7, 23)
    assert sum(o.dropped for o in outputs) == summary.dropped == summary.samples["dropped"]
    assert any("behind the source" in n.text for n in told)
    for output in outputs:  # what is not dropped is right, and the last one is never dropped
        end = round(1000 * output.end_s)
        assert np.array_equal(output.values, x[:, end - 50 : end])
    assert outputs[-1].end_s == pytest.approx(1.5)


def test_a_source_that_waits_loses_nothing_to_a_slow_consumer() -> None:
    x = noise(SIGNAL.spec(), 3000)
    outputs = []
    for output in mf.stream(WINDOWS, Chunks(cut(x, itertools.repeat(500))), spec=SIGNAL.spec(), lag_s=0.001):
        outputs.append(output)
        time.sleep(0.002)
    assert np.array_equal(np.concatenate([o.values for o in outputs], axis=1), x)


def test_signal_that_nobody_takes_in_time_is_a_gap_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue holds a set time of signal; what comes beyond it is thrown away, counted and filled."""
    from myoflow.live import intake

    monkeypatch.setattr(intake, "QUEUE_S", 0.2)
    x = noise(SIGNAL.spec(), 1000)
    plain = evolve(SIGNAL, clock="none")
    numbered = [evolve(one, first=None) for one in blocks(x, 20) if isinstance(one, Block)]
    everything, taken = threading.Event(), threading.Event()
    script: Script = [*numbered[:45], everything.set, lambda: taken.wait(LONG_S), *numbered[45:]]
    session = mf.stream(WINDOWS, Scripted(script, plain), gaps="restart", **PATIENT)
    iterator = iter(session)
    first = next(iterator)
    assert everything.wait(LONG_S)  # the queue has room for ten of the 45
    rest = [next(iterator)]
    taken.set()
    rest += iterator
    summary = session.summary
    assert summary.samples["gap"] == 1000 - summary.taken > 0
    for output in [first, *rest]:
        end = round(1000 * output.end_s)
        assert np.array_equal(output.values, x[:, end - 50 : end])
    assert rest[-1].end_s == pytest.approx(1.0), "and it goes on"


def test_stop_ends_it_from_another_thread(run: Run) -> None:
    session = mf.stream(run, "replay?speed=1", **PATIENT)
    outputs = []
    for output in session:
        outputs.append(output)
        if len(outputs) == 3:
            other = threading.Thread(target=session.stop)
            other.start()
            other.join()
    assert 3 <= len(outputs) < 20 and session.summary.reason == "stopped"
    with pytest.raises(RuntimeError, match="runs once"):
        list(session)


def test_stop_may_come_before_the_first_output_is_asked_for(run: Run) -> None:
    """As a signal may, that arrives while everything is being opened."""
    session = mf.stream(run, "replay?speed=1", **PATIENT)
    session.stop("stopped by Ctrl-C")
    assert list(session) == [] and session.summary.reason == "stopped by Ctrl-C"


def test_leaving_the_loop_lets_go_of_the_source(run: Run) -> None:
    before = set(threading.enumerate())
    session = mf.stream(run, "replay?speed=1")
    for _ in session:
        break
    assert session.summary.reason == "stopped"
    assert not set(threading.enumerate()) - before


def test_a_run_replayed_decides_as_predict_does(run: Run, place: Path) -> None:
    store = mf.open_store(place / "data" / "tiny.zarr")
    identity = next(row.id for row in store.rows if row.subject == "04")
    offline = run.predict(store.emg(identity))
    live = list(mf.stream(run, "replay?speed=max&chunk=37 samples"))
    assert [o.label for o in live] == offline.idxmax("label").values.tolist()
    np.testing.assert_allclose([o.end_s for o in live], offline.time.values)
    lda = list(mf.stream(place / "plain", f"replay:data/tiny.zarr/{identity}?speed=max", model="lda"))
    assert np.array_equal(np.stack([o.values for o in lda]), run.predict(store.emg(identity), model="lda").values)


def test_what_cannot_stream_is_refused_with_stage_reason_and_remedy() -> None:
    with pytest.raises(RecipeError, match=r"gestures_uci_published.yaml:18:5: .* bandpass with zero_phase: true"):
        decoder_of("gestures_uci_published")
    backwards = Pipeline([mf.Lowpass(cut=5.0, zero_phase=True)])
    with pytest.raises(PlanError, match="zero_phase: false is causal"):
        mf.stream(backwards, iter(()), spec=SIGNAL.spec())
    with pytest.raises(PlanError, match="zscore with over: recording"):
        mf.stream(Pipeline([mf.Zscore(over="recording")]), iter(()), spec=SIGNAL.spec())


def test_untrained_recipes_say_what_to_do() -> None:
    with pytest.raises(InputError, match=r"give the folder of a run .* --until window"):
        decoder_of("quickstart")
    pipeline, context = decoder_of("quickstart", until="notch")
    assert [stage.name for stage in pipeline.stages] == ["bandpass", "notch"] and context.spec is not None
    with pytest.raises(InputError, match="did you mean 'notch'"):
        decoder_of("quickstart", until="noch")


@pytest.mark.parametrize(
    "signal, message",
    [
        (Signal(("a", "b"), 500.0), "gives 500 Hz, but the pipeline takes 1000 Hz"),
        (Signal(("a", "b", "c"), 1000.0), "gives 3 channels (a, b, c), but the pipeline takes 2"),
        (Signal(("a", "b"), 1000.0, units="counts"), "the source is in 'counts', the pipeline takes V"),
    ],
)
def test_a_source_that_does_not_fit_is_refused(signal: Signal, message: str) -> None:
    with pytest.raises(InputError) as error:
        mf.stream(WINDOWS, Scripted([], signal), spec=SIGNAL.spec())
    assert message in str(error.value)


def test_channels_are_found_by_name_and_units_converted() -> None:
    x = np.arange(300, dtype=np.int16).reshape(3, 100)
    signal = Signal(("ch2", "extra", "ch1"), 1000.0, units="uV", gain=(2.0, 1.0, 1.0), dtype="int16")
    outputs = list(mf.stream(WINDOWS, Scripted(blocks(x, 30), signal), spec=SIGNAL.spec()))
    expected = np.stack([x[2, :50] * 1e-6, x[0, :50] * 2e-6])
    np.testing.assert_allclose(outputs[0].values, expected, rtol=1e-6)
