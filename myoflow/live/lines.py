"""Lines: an output as plain values, the same in every sink that writes JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from myoflow.listener import Said
    from myoflow.live.output import Output


def _kind(output: Output) -> str:
    if output.said is not None:
        return output.said.kind
    if output.label is not None:
        return "decision"
    return "signal" if output.is_signal else "trajectory" if output.trajectory else "features"


def _said(said: Said) -> dict[str, Any]:
    """Of sound only how much there is: that is for the sinks wav and lsl."""
    if said.kind == "event":
        return {"at": round(said.start_s, 9), "label": said.text}
    if said.values is not None:
        return {"start": round(said.start_s, 9), "samples": said.values.shape[1], "rate": said.rate_hz}
    stable = {"stable": said.stable} if said.kind == "partial" else {}
    return {"start": round(said.start_s, 9), "text": said.text, **stable}


def line_of(output: Output) -> dict[str, Any]:
    """Time, latency in s and what was decided; a float32 is written so that it reads back to the same number."""
    latency = output.latency
    line: dict[str, Any] = {
        "type": _kind(output),
        "time": round(output.time_s, 9),
        "end": round(output.end_s, 9),
    }
    if output.said is not None:
        line |= _said(output.said)
    elif output.label is not None:
        line["label"] = output.label
        line["scores"] = output.scores
    elif output.trajectory:
        line["trajectory"] = output.trajectory
    else:
        line["values"] = output.values.tolist()
    line["latency"] = {
        "algorithmic": latency.algorithmic_s,
        "queue": round(latency.queue_s, 6),
        "compute": round(latency.compute_s, 6),
    }
    if output.filled:
        line["filled"] = output.filled
    if output.dropped:
        line["dropped"] = output.dropped
    return line
