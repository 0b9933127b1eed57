"""Command: what `myoflow stream` does: a session into its sinks, until it ends or is ended."""

from __future__ import annotations

import math
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from myoflow.errors import InputError, MyoflowError, did_you_mean
from myoflow.live import stream
from myoflow.live.address import parse
from myoflow.live.outlets import Outlets
from myoflow.live.session import Session
from myoflow.live.sink import SINKS
from myoflow.live.summary import Summary
from myoflow.typed import Mismatch, Seconds, coerce


def run_stream(
    what: str,
    source: str,
    sinks: Sequence[str],
    *,
    gaps: str,
    lag: str,
    patience: str,
    seconds: float | None,
    record: Path | None,
    **options: Any,
) -> Summary:
    """Stream into sinks and print a summary.

    Raises:
        InputError, PlanError: see `mf.stream`.
        MyoflowError: the source broke, or did not come back; at the end, a sink or the recorder broke on the way.
    """
    if seconds is not None and not 0 < seconds < math.inf:
        raise InputError(f"--seconds must be above 0, got {seconds:g}")
    asked = [parse(text, SINKS) for text in sinks]
    outlets = Outlets()
    session = stream(
        what,
        source,
        gaps=gaps,  # type: ignore[arg-type]
        lag_s=_seconds(lag, "--lag"),
        patience_s=_seconds(patience, "--patience"),
        record=record,
        notice=outlets.notice,
        **options,
    )
    for line in filter(None, (session.origin, *session.decoder.told, session.match.told)):
        print(line, file=sys.stderr)
    if seconds is not None:
        session.stop_after(seconds)
    done = False
    try:
        outlets.tell = session.tell
        outlets.open(asked, session.decoder.plan.input, session.told)
        outlets.wait_while(lambda: session.patient)
        if outlets.pictures:
            session.on_signal = outlets.signal
        with stopping(session):
            for output in session:
                outlets.write(output)
                if not outlets.left and session.recorder is None:
                    session.stop("nothing takes what is decoded any more")
        done = True
    finally:
        session.close()
        outlets.settle()
        outlets.close(session.summary if done else None)
    _tell(session, outlets)
    lost = [*outlets.broken, *([session.recorder.failed] if session.recorder and session.recorder.failed else [])]
    if lost:
        raise MyoflowError(f"not everything was written: {'; '.join(lost)}")
    return session.summary


def _tell(session: Session, outlets: Outlets) -> None:
    """The summary, on stderr: stdout may be a sink."""
    for line in session.summary.lines():
        print(line, file=sys.stderr)
    if session.recorder is not None:
        kept = ", ".join(session.recorder.ids) or "nothing"
        print(f"kept in {session.recorder.path}: {kept}", file=sys.stderr)
        if session.recorder.recovered:
            print(f"and what a killed session had left: {', '.join(session.recorder.recovered)}", file=sys.stderr)
    for name, count in outlets.left_out.items():
        print(f"{name}: {count:,} messages were left out, because nobody took them", file=sys.stderr)


def _seconds(text: str, option: str) -> float:
    try:
        found = float(coerce(text, Seconds, text=True))
    except Mismatch as error:
        raise InputError(f"{option}: {error}") from None
    if found < 0:
        raise InputError(f"{option}: a time must not be below zero, got '{text}'")
    return found


def run_calibrate(
    run: Path,
    source: str,
    *,
    user: str,
    out: Path | None,
    repetitions: int,
    hold: str,
    rest: str,
    prompts: str,
    model: str | None,
    **options: Any,
) -> None:
    """Calibrate and save a profile.

    Raises:
        InputError: see `mf.calibrate`.
    """
    from myoflow.live.calibrate import calibrate

    if prompts not in ("screen", "events"):
        raise InputError(
            f"--prompts {prompts}{did_you_mean(prompts, ('screen', 'events')) or '.'} Either screen or events"
        )
    if not (user.isascii() and user.isalnum()):
        raise InputError(f"--user '{user}' must be letters and digits")
    path = out or Path("profiles") / f"{user}.safetensors"
    profile = calibrate(
        run,
        source,
        user=user,
        hold_s=_seconds(hold, "--hold"),
        rest_s=_seconds(rest, "--rest"),
        repetitions=repetitions,
        model=model,
        prompts=prompts,  # type: ignore[arg-type]
        say=Prompt(),
        **options,
    )
    profile.save(path)
    helped = "" if profile.after > profile.before else "; calibration did not help, the profile changes nothing"
    fewer = f" (of {repetitions} asked for)" if profile.repetitions < repetitions else ""
    use = ["myoflow", "stream", str(run), *(["--model", model] if model else []), "--profile", str(path)]
    print(
        f"\n{path}: {profile.windows} windows of {profile.repetitions} repetitions{fewer}; decided rightly before "
        f"{100 * profile.before:.1f} %, after {100 * profile.after:.1f} % (each repetition by the others; "
        f"{profile.method}){helped}\nuse it: {shlex.join([*use, '--source', source])}"
    )


class Prompt:
    """What to do now, on one line of a terminal; a line for each change elsewhere."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, text: str, seconds: float) -> None:
        if sys.stdout.isatty():
            print(f"\r{text:<50} {seconds:4.1f} s ", end="", flush=True)
        elif text != self._last:
            print(text, flush=True)
        self._last = text


@contextmanager
def stopping(session: Session) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the session after the decision in hand; a second Ctrl-C ends the program."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: FrameType | None) -> None:
        session.stop("stopped by Ctrl-C" if number == signal.SIGINT else "stopped by a signal")
        signal.signal(signal.SIGINT, signal.default_int_handler)

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
