"""Session: a source through a decoder, live; iterate over it to get decisions."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve, frozen

from myoflow.live.block import match
from myoflow.live.decoder import Decoder
from myoflow.live.intake import Gone, Intake, Item, Returned
from myoflow.live.output import Latency, Notice, Output
from myoflow.live.source import Context, Source
from myoflow.live.summary import Summary, Tally
from myoflow.live.timeline import Piece, Policy, Timeline
from myoflow.spec import SAID, Spec

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Array
    from myoflow.listener import Listener, Said
    from myoflow.live.recorder import Recorder
    from myoflow.pipeline import Pipeline, Plan
    from myoflow.recording import Events

SILENCE_S = 1.0  # a source that gives nothing for this long is told about
TOGETHER = 64  # windows decoded at a time
_NOTHING: Array = np.empty(0, np.float32)  # the values of words


@frozen(eq=False)
class _Due:
    """A window that waits to be decoded."""

    values: Array
    number: int
    end: int
    arrived_s: float
    begun_s: float


class Session:
    """A live stream. Iterating connects nothing anew: a session runs once.

    Args:
        pipeline, parameters: what decodes.
        source: an opened or unopened source.
        context: what the source may know.
        gaps: what fills lost samples, `hold`, `zero` or `restart`; gaps above 1 s always begin anew.
        lag_s: windows that waited longer while newer ones are there are dropped, whole; never with a source that waits.
        patience_s: how long a lost source may stay away.
        notice: is told of gaps, drops and the like; they are counted in `summary` in any case.
        recorder: keeps raw signal and outputs, with events of these `labels`.
        listen: the decoder of the run's task for one stretch of signal; what it says takes the place of the outputs.

    Raises:
        PlanError, InputError: the pipeline cannot stream or does not fit the source, or there is no such source.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        source: Source,
        context: Context,
        *,
        gaps: Policy = "hold",
        lag_s: float = 0.5,
        patience_s: float = 30.0,
        notice: Callable[[Notice], None] | None = None,
        recorder: Recorder | None = None,
        labels: Sequence[str] = (),
        listen: Callable[[Plan], Listener] | None = None,
    ) -> None:
        if context.spec is not None:
            self.decoder = Decoder(pipeline.plan(context.spec), pipeline.parameters)
        connection = source.open(context)
        try:
            if context.spec is None:
                self.decoder = Decoder(pipeline.plan(connection.signal.spec()), pipeline.parameters)
            self.match = match(connection.signal, self.decoder.plan.input)
            self._timeline = Timeline(connection.signal, gaps, self._notice)
        except BaseException:
            connection.close()
            raise
        self.source, self.signal = source, connection.signal
        self.truth: Events | None = getattr(connection, "events", None)  # what a replayed recording says was done
        self.origin: str | None = getattr(connection, "origin", None)  # what is replayed
        self._labels = tuple(labels)
        self.on_signal: Callable[[Array], None] | None = None
        self._intake = Intake(source, connection, context, patience_s)
        self._lag = lag_s
        self._told = notice
        self.recorder = recorder
        plan = self.decoder.plan
        self._anew = listen
        self._listener = listen(plan) if listen is not None else None
        self._ahead = self._listener.delay_s if self._listener is not None else 0.0  # of its sound
        self._tally = Tally(self.signal.rate_hz, plan.output.delay_s + self._ahead)
        self._due: list[_Due] = []
        self._made: deque[tuple[int, int]] = deque()
        self._origin = self._count = self._pushed = 0
        self._skipped = 0
        self._last_s = 0.0  # the newest sample that an output has used
        self._stop = False
        self._why = "stopped"  # of its own, since a signal may come at any moment, also before the first output
        self._reason = "not ended"
        self._began = time.perf_counter()
        self._heard: float | None = None
        self._latest_stop: int | None = None

    @property
    def told(self) -> Spec:
        """What outputs are: those of the pipeline, the sound that the task's decoder makes, or else what it says."""
        if self._listener is None:
            return self.decoder.output
        return getattr(self._listener, "sound", None) or self.decoder.output.evolve(dims=SAID, sizes=(None,))

    @property
    def notices(self) -> list[Notice]:
        """The latest things that happened."""
        return list(self._tally.notices)

    @property
    def tally(self) -> Tally:
        """Counters and histograms while it runs."""
        return self._tally

    @property
    def summary(self) -> Summary:
        """What the stream has done so far."""
        wall = time.perf_counter() - self._began
        return self._tally.summary(self._timeline.next, wall, self._timeline.drift.ppm(), self._reason)

    def stop(self, reason: str = "stopped") -> None:
        """End the stream after the output in hand; safe in a signal handler and in other threads, at any time."""
        self._why, self._stop = reason, True

    @property
    def patient(self) -> bool:
        """Whether receivers may be waited for: the source waits, too, and nobody has asked for the end."""
        return self.source.waits and not self._stop

    def tell(self, kind: str, text: str, count: int = 1) -> None:
        """Count and pass on something that happened where outputs go."""
        self._notice(Notice(kind, self._timeline.next / self.signal.rate_hz, text, count))

    def close(self) -> None:
        """Let go of the source; iterating to the end does that by itself."""
        self._intake.close()

    def stop_after(self, seconds: float) -> None:
        """End it once so much signal has been taken."""
        self._latest_stop = round(seconds * self.signal.rate_hz)

    def __iter__(self) -> Iterator[Output]:
        if self._reason != "not ended":
            raise RuntimeError("a session runs once; open another")
        self._reason = "running"
        self._began = time.perf_counter()
        if self.recorder is not None:
            self.recorder.begin(self.signal, self.decoder, self._labels)
        self._intake.start()
        try:
            while not self._stop:
                items = self._intake.take()
                if items is None:
                    yield from self._finish()
                    self._reason = "the source ended"
                    break
                yield from self._step(items)
                if self._latest_stop is not None and self._timeline.next >= self._latest_stop:
                    self.stop("as long as asked for")
            else:
                self._reason = self._why
                yield from self._over(time.perf_counter())  # what has been said so far
        except GeneratorExit:
            self._reason = self._why
            raise
        except BaseException as error:
            self._reason = f"broken: {error}" if str(error) else type(error).__name__
            raise
        finally:
            self._intake.close()
            if self.recorder is not None:
                self.recorder.end([notice.text for notice in self._tally.notices])

    def _step(self, items: list[Item]) -> Iterator[Output]:
        now = time.perf_counter()
        for item in items:
            if isinstance(item, Gone):
                for piece in self._timeline.flush():  # nothing that is missing will come any more
                    yield from self._push(piece)
                self._notice(Notice("lost", self._timeline.next / self.signal.rate_hz, f"{item.why}; looking for it"))
            elif isinstance(item, Returned):
                self._timeline.returned()
                text = f"the source came back after {item.seconds:.1f} s"
                self._notice(Notice("returned", self._timeline.next / self.signal.rate_hz, text))
            else:
                self._heard = item.arrived_s
                self._tally.taken += item.values.shape[1]
                for piece in self._timeline.feed(item):
                    yield from self._push(piece)
        if not items:
            for piece in self._timeline.poll(now):
                yield from self._push(piece)
            self._listen(now)
        yield from self._decode()

    def _listen(self, now: float) -> None:
        """Tell of a source that says nothing."""
        if self._heard is not None and now - self._heard > SILENCE_S and self.signal.pace is not None:
            at = self._timeline.next / self.signal.rate_hz
            self._notice(Notice("silence", at, f"the source has given nothing for {SILENCE_S:g} s; waiting"))
            self._heard = None  # once a silence

    def _push(self, piece: Piece) -> Iterator[Output]:
        """Signal stages see a piece; windows that it completes wait in `_due`, samples go out at once."""
        begun = time.perf_counter()
        if self.recorder is not None:
            self._record(self.recorder, piece)
        if piece.restart:
            yield from self._decode()
            yield from self._over(piece.arrived_s)
            self.decoder.begin()
            self._origin, self._count, self._pushed = piece.start, 0, 0
        if piece.made:
            self._tally.made += piece.values.shape[1]
            self._made.append((piece.start, piece.start + piece.values.shape[1]))
        values = self.match(piece.values)
        if self.on_signal is not None:
            self.on_signal(values)
        with self._tally.computing():
            done = self.decoder.push(values)
        end = piece.start + piece.values.shape[1]
        if self.decoder.flows:
            yield from self._frames(done, end, piece.arrived_s, begun)
        elif self.decoder.windows:
            for window in done:
                self._due.append(_Due(window, self._count, end, piece.arrived_s, begun))
                self._count += 1
            if len(self._due) >= TOGETHER:  # more would only take memory
                yield from self._decode()
        elif done.shape[-1]:
            yield self._samples(done, end, piece.arrived_s, begun)

    def _record(self, recorder: Recorder, piece: Piece) -> None:
        went_on = recorder.failed is None
        recorder.piece(piece)
        if went_on and recorder.failed is not None:
            self._notice(Notice("record", piece.start / self.signal.rate_hz, recorder.failed))

    def _samples(self, values: Array, end: int, arrived_s: float, begun_s: float) -> Output:
        """A piece of signal as an output."""
        spec, rate = self.decoder.between, self.signal.rate_hz
        self._pushed += values.shape[-1]
        end_s = self._origin / rate + self._pushed / spec.rate_hz
        filled = self._filled(end - round(values.shape[-1] / spec.rate_hz * rate), end)
        return self._output(values, end / rate, end_s, filled, self._late(arrived_s, begun_s))

    def _decode(self) -> Iterator[Output]:
        """Decode the windows that wait; too old ones are dropped while there are newer ones."""
        if not self._due:
            return
        due, self._due = self._due, []
        now = time.perf_counter()
        if not self.source.waits and len(due) > 1:
            late = [window for window in due[:-1] if now - window.arrived_s > self._lag]
            if late:
                due = due[len(late) :]
                self._skipped += len(late)
                worst = now - late[0].arrived_s
                at = late[-1].end / self.signal.rate_hz
                text = f"{len(late)} windows dropped: the decoder is {worst:.2f} s behind the source"
                self._notice(Notice("dropped", at, text, len(late)))
        for start in range(0, len(due), TOGETHER):
            part = due[start : start + TOGETHER]
            with self._tally.computing():
                found = self.decoder.decode(np.stack([window.values for window in part]))
            for window, values in zip(part, found, strict=True):
                yield from self._decision(window, values)

    def _decision(self, window: _Due, values: Array) -> Iterator[Output]:
        spec, rate = self.decoder.output, self.signal.rate_hz
        assert spec.step_s is not None and spec.window_s is not None, "windows have ends"
        end_s = self._origin / rate + window.number * spec.step_s + spec.window_s
        ahead = self.decoder.between.delay_s - spec.window_s  # a resampler knows its samples late
        time_s = min(end_s + max(0.0, ahead), window.end / rate)
        first = round((end_s - spec.window_s) * rate)
        filled = self._filled(first, round(end_s * rate))
        yield from self._given(values, time_s, end_s, filled, window.arrived_s, window.begun_s)

    def _frames(self, values: Array, end: int, arrived_s: float, begun_s: float) -> Iterator[Output]:
        """Frames `(utterance 1, frame, feature)` that run on and on."""
        if not values.shape[1]:
            return
        rate = self.signal.rate_hz
        first_s = self._origin / rate + self._pushed / self.decoder.output.rate_hz
        self._pushed += values.shape[1]
        end_s = self._origin / rate + self._pushed / self.decoder.output.rate_hz
        time_s = max(self._last_s, min(end_s + self.decoder.between.delay_s, end / rate))
        filled = self._filled(round(first_s * rate), round(end_s * rate))
        yield from self._given(values[0], time_s, end_s, filled, arrived_s, begun_s)

    def _given(
        self, values: Array, time_s: float, end_s: float, filled: int, arrived_s: float, begun_s: float
    ) -> Iterator[Output]:
        """An output of the pipeline, or what the task's decoder says to it."""
        if self._listener is None:
            yield self._output(values, time_s, end_s, filled, self._late(arrived_s, begun_s))
            return
        with self._tally.computing():
            said = self._listener.feed(values, end_s)
        yield from self._say(said, time_s, filled, self._late(arrived_s, begun_s))

    def _say(self, said: Sequence[Said], time_s: float, filled: int, latency: Latency) -> Iterator[Output]:
        """What the task's decoder has said as outputs."""
        self._last_s = time_s
        for one in said:
            spec = self.told if one.values is not None else self.told.evolve(dims=SAID, sizes=(None,))
            values = _NOTHING if one.values is None else one.values
            late = latency
            if one.kind == "sound":
                late = evolve(latency, algorithmic_s=latency.algorithmic_s + self._ahead)
            yield self._output(values, time_s, one.end_s, filled, late, spec, one)

    def _over(self, arrived_s: float) -> Iterator[Output]:
        """A stretch of signal has ended: what network and task's decoder still hold of it."""
        begun = time.perf_counter()
        if self.decoder.flows:
            with self._tally.computing():
                done = self.decoder.finish()
            yield from self._frames(done, self._timeline.next, arrived_s, begun)
        if self._listener is not None and self._anew is not None:
            with self._tally.computing():
                said = self._listener.flush()
                self._listener = self._anew(self.decoder.plan)
            yield from self._say(said, self._last_s, 0, self._late(arrived_s, begun))

    def _late(self, arrived_s: float, begun_s: float) -> Latency:
        """How late an output comes that is ready now."""
        waited = max(0.0, begun_s - arrived_s)
        latency = Latency(self.decoder.output.delay_s, waited, time.perf_counter() - begun_s)
        self._tally.late(latency)
        return latency

    def _output(
        self,
        values: Array,
        time_s: float,
        end_s: float,
        filled: int,
        latency: Latency,
        spec: Spec | None = None,
        said: Said | None = None,
    ) -> Output:
        output = Output(values, spec or self.decoder.output, time_s, end_s, latency, filled, self._skipped, said)
        self._skipped = 0
        self._tally.output(output)
        if self.recorder is not None:
            self.recorder.output(output)
        return output

    def _filled(self, first: int, end: int) -> int:
        """How many of the samples from `first` to `end` were made up."""
        while self._made and self._made[0][1] <= first - 2 * (end - first):
            self._made.popleft()
        return sum(max(0, min(end, stop) - max(first, start)) for start, stop in self._made)

    def _finish(self) -> Iterator[Output]:
        """The source has ended: what waits, and what stages that look ahead still hold."""
        for piece in self._timeline.flush():
            yield from self._push(piece)
        if self._intake.lost:
            text = f"the last {self._intake.lost} samples were thrown away here, because the decoder was behind"
            self._notice(Notice("gap", self._timeline.next / self.signal.rate_hz, text, self._intake.lost))
        begun = time.perf_counter()
        if self.decoder.flows:
            yield from self._over(begun)
            return
        done = self.decoder.finish()
        end = self._timeline.next
        if self.decoder.windows:
            for window in done:
                self._due.append(_Due(window, self._count, end, begun, begun))
                self._count += 1
        elif done.shape[-1]:
            yield self._samples(done, end, begun, begun)
        yield from self._decode()
        yield from self._over(begun)

    def _notice(self, notice: Notice) -> None:
        self._tally.notice(notice)
        if self._told is not None:
            self._told(notice)
