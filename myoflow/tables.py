"""Tables: what the verbs print."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from myoflow import library
from myoflow.errors import InputError, MyoflowError, did_you_mean
from myoflow.typed import describe, hints_of, plain

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

    from myoflow.data.conversion import Summary
    from myoflow.evaluation.bench import Cost
    from myoflow.evaluation.parity import Parity
    from myoflow.pipeline import Plan, Step
    from myoflow.progress import Progress
    from myoflow.recipe import Recipe
    from myoflow.registry import Registry
    from myoflow.run import Run
    from myoflow.speech.heard import Heard
    from myoflow.stage import Stage
    from myoflow.store import Store
    from myoflow.task import Measure

WIDTH = 116  # what a plan needs
SHELVES = ("stages", "datasets", "formats", "backends", "recipes", "sources", "sinks")


def _print(*things: Any) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    if console.width < WIDTH:
        console.width = WIDTH  # a table that is cut off helps nobody
    for thing in things:
        console.print(thing, soft_wrap=isinstance(thing, str), markup=False)


def _table(*columns: str, title: str | None = None, right: tuple[str, ...] = ()) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left")
    return table


def plan_row(step: Step) -> dict[str, str]:
    """One stage of a plan in words, as `check` prints it."""
    after = step.after
    return {
        "stage": step.stage.name + (" (training)" if step.stage.training_only else ""),
        "backend": step.backend + (f" ({step.note})" if step.note else ""),
        "out": after.brief(),
        "rate": step.rate,
        "parameters": f"{step.cost.parameters:,}" if step.cost.parameters else "",
        "macs": _si(step.cost.macs),
        "memory": _si(step.cost.memory_bytes, "B"),
        "delay": f"{after.delay_s * 1e3:g} ms",
    }


def _si(number: float, unit: str = "") -> str:
    if not number:
        return ""
    for scale, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= scale:
            return f"{number / scale:.3g} {prefix}{unit}"
    return f"{number:.3g} {unit}".rstrip()


def plans(recipe: Recipe, found: dict[str, Plan]) -> None:
    """The plan of every model of a recipe."""
    for name, plan in found.items():
        table = _table(
            "stage", "backend", "out", "rate", "parameters", "MACs", "memory", "delay",
            title=f"{recipe.name}: {name}", right=("rate", "parameters", "MACs", "memory", "delay"),
        )  # fmt: skip
        source = plan.input
        rate = f"{source.rate_hz:g} Hz"
        table.add_row(recipe.data.dataset, "store", source.brief(), rate, "", "", "", "0 ms")
        for step in plan.steps:
            table.add_row(*plan_row(step).values())
        total = sum(step.cost.parameters for step in plan.steps)
        macs = sum(step.cost.macs for step in plan.steps if step.before.dims[0] == "window")
        table.add_row(
            "in all", "", "", "", f"{total:,}" if total else "", _si(macs) and f"{_si(macs)} a window", "", ""
        )
        _print(table)
        streams = "yes" if not plan.output.blockers else "no: " + "; ".join(plan.output.blockers)
        _print(f"labels: {', '.join(plan.output.labels)}", f"streams: {streams}", *_chosen(plan))


def _chosen(plan: Plan) -> list[str]:
    """What the engines of a plan choose on this machine, and why; or why one cannot be had here."""
    from myoflow.backend import load_backend
    from myoflow.pipeline import engine_of

    names = dict.fromkeys(step.backend for step in plan.steps if not step.stage.training_only)
    told = []
    for name in names:
        engine, card = engine_of(name), load_backend(name)
        reason = engine.missing(card)
        if reason:
            told.append(f"{name} cannot run on this machine: {reason}")
        elif choices := engine.choices(card):
            told.append(f"{name}: {'; '.join(choices)}")
    return told


def scores(run: Run) -> None:
    """The scores of a finished run, with its protocol."""
    metrics = run.metrics
    _print(_scored(metrics, run.recipe.train.task.measured(metrics)))
    _print(
        f"{_tested(metrics)}, protocol {metrics['protocol']}; {_interval(metrics)}",
        *audited(metrics["audit"]),
        f"report: {run.folder / 'report.html'}",
    )


def evaluation(found: Mapping[str, Any], measures: Mapping[str, Measure], path: Path) -> None:
    """Scores of a run's models on a store, by subject where there are several."""
    _print(_scored(found, measures))
    subjects = found["models"][found["main"]]["per_subject"]
    if len(subjects) > 1:
        table = _table("subject", *found["metrics"], title=found["main"], right=tuple(found["metrics"]))
        for subject, row in subjects.items():
            table.add_row(subject, *(measures[name].text(row[name]["value"]) for name in found["metrics"]))
        _print(table)
    _print(f"{_tested(found)}; {_interval(found)}", *audited(found["audit"]), f"kept: {path}")


def calibration(found: Mapping[str, Any], measures: Mapping[str, Measure]) -> None:
    """Scores of people before and after calibration, each person in a row where there are several."""
    _print(_scored(found, measures))
    people = {name: model["per_subject"] for name, model in found["models"].items()}
    first = found["metrics"][0]
    if len(found["subjects"]) > 1:
        table = _table("subject", *people, title=first, right=tuple(people))
        for subject in found["subjects"]:
            table.add_row(subject, *(measures[first].text(people[name][subject][first]["value"]) for name in people))
        _print(table)
    how = found["calibrate"]
    learned = f"{how['repetitions']} execution{'' if how['repetitions'] == 1 else 's'} of each label learned from"
    _print(f"{_tested(found)}, {learned}, adapt: {how['adapt']}; {_interval(found)}", f"profiles: {found['folder']}")


def heard(found: Heard) -> None:
    """What a recogniser from elsewhere understood of made and true voices, beside the recipe's own."""
    from myoflow.report.heard import rates

    columns = ("WER, made voice", "WER, true voice")
    table = _table("recogniser", *columns, right=columns)
    for row in rates(found):
        table.add_row(*row)
    _print(table, f"{len(found.text)} test utterances; texts in Whisper's English normalisation, digits one by one")


def comparison(found: Mapping[str, Any], measures: Mapping[str, Measure]) -> None:
    """Two runs' models on the same examples."""
    one, other = found["one"], found["other"]
    columns = (one["name"], other["name"], "difference", "p")
    table = _table("metric", *columns, right=columns)
    for name, gap in found["differences"].items():
        m = measures[name]
        moved, low, high = (m.number(gap[key], signed=True) for key in ("value", "low", "high"))
        sides = (_bracketed(side["metrics"][name], m) for side in (one, other))
        table.add_row(name, *sides, f"{moved} [{low}, {high}]", f"{gap['p']:.3g}{'' if gap['exact'] else ' (sampled)'}")
    _print(table)
    _print(f"{_tested(found)}; {_interval(found)}; p: two-sided, models swapped on whole {found['interval']['unit']}s")
    if note := found["interval"]["note"]:
        _print(note)
    for side in (one, other):
        _print(*(f"{side['name']}: {text}" for text in audited(side["audit"])))


def _bracketed(metric: Mapping[str, Any], measure: Measure) -> str:
    """A value with its interval."""
    return f"{measure.text(metric['value'])} [{measure.number(metric['low'])}, {measure.number(metric['high'])}]"


def _scored(metrics: Mapping[str, Any], measures: Mapping[str, Measure]) -> Table:
    """A row a model, then the main model's lead over each other one."""
    table = _table("model", *metrics["metrics"], right=tuple(metrics["metrics"]))
    for name, model in metrics["models"].items():
        table.add_row(name, *(_bracketed(m, measures[k]) for k, m in model["metrics"].items()))
    for name, gap in metrics["differences"].items():
        cells = []
        for metric, moved in gap.items():
            value, low, high = (measures[metric].number(moved[key], signed=True) for key in ("value", "low", "high"))
            cells.append(f"{value} [{low}, {high}]")
        table.add_row(f"{metrics['main']} - {name}", *cells)
    return table


def _tested(metrics: Mapping[str, Any]) -> str:
    count = len(metrics["subjects"])
    rows = metrics.get("rows", "windows")
    return f"{metrics['windows']} test {rows} of {count} {'subject' if count == 1 else 'subjects'}"


def _interval(metrics: Mapping[str, Any]) -> str:
    return f"95 % intervals by bootstrap over {metrics['interval']['unit']}s"


def audited(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the audit found: every leak in a line, and what else a reader should know."""
    leaks = [f"leak: {found['text']}" for found in findings if found["leak"]]
    told = ("people", "recordings", "beginning", "sentences", "left out")
    looked = [found["text"] for found in findings if not found["leak"] and found["about"] in told]
    about = ", ".join(dict.fromkeys(found["about"] for found in findings))
    clean = [] if leaks else [f"audit ({about}): no leak found"]
    return [*leaks, *clean, *looked]


def parity(found: Parity, measures: Mapping[str, Measure]) -> None:
    """What a backend changed, against torch in float32; `measures` say how the metrics are read."""
    table = _table("metric", "torch float32", ", ".join(found.backends), "change", right=("change",))
    for name, change in found.metrics.items():
        m = measures[name]
        moved, low, high = (m.number(v, signed=True, more=1) for v in (change.difference, change.low, change.high))
        sides = (f"{m.number(value, more=1)} {m.unit}" for value in (change.reference, change.value))
        table.add_row(name, *sides, f"{moved} [{low}, {high}]")
    _print(table)
    decided = "" if found.decisions is None else f", {found.decisions} decided otherwise"
    _print(f"{found.windows} test windows{decided}")
    _print(*(f"{name} differs by {distance.told()}" for name, distance in found.outputs.items()))


def costs(found: list[Cost]) -> None:
    """What stages cost on backends."""
    columns = ("p50 ms", "p99 ms", "throughput", "MAC/s", "of float32 peak", "memory")
    table = _table("stage", "backend", *columns, right=columns)
    for cost in found:
        if cost.note:
            table.add_row(cost.stage, cost.backend, cost.note, *[""] * 5)
            continue
        speed, share = (_si(cost.macs_per_s), f"{100 * cost.share:.0f} %") if cost.macs_per_s else ("", "")
        throughput = f"{cost.throughput:,.0f} {cost.unit}"
        latency = (f"{1e3 * cost.p50_s:.3f}", f"{1e3 * cost.p99_s:.3f}")
        table.add_row(cost.stage, cost.backend, *latency, throughput, speed, share, _si(cost.memory_bytes or 0, "B"))
    _print(table)
    _print(*(f"{name}: {'; '.join(told)}" for name, told in {c.backend: c.choices for c in found if c.choices}.items()))
    _print(
        "latency of 20 ms of signal, or of one window behind the stage that cuts; peak: one core, measured now; "
        "memory: added to this process at its peak, measured"
    )


def conversion(summary: Summary) -> None:
    """What a conversion did."""
    _print(str(summary))


def store(opened: Store) -> None:
    """What a store holds."""
    from myoflow.store.info import info_table

    _print(info_table(opened))
    from myoflow.live.recorder import waiting

    if left := waiting(opened.path):
        _print(
            f"not in it yet: {', '.join(left)} of `stream --record` sessions that go on or were killed; the next one "
            "that records here makes recordings of those that were killed"
        )


def verified(opened: Store, progress: Progress) -> None:
    """Checks every checksum. Raises MyoflowError naming each damaged recording."""
    from myoflow.store.verify import verify

    with progress.phase("Verifying", len(opened.rows)) as advance:
        damaged = verify(opened, advance)
    if damaged:
        raise MyoflowError("\n".join(damaged))
    _print(f"{len(opened.rows)} recordings verified, none damaged")


def listing(shelf: str) -> None:
    """`myoflow list`: names with a line each."""
    if shelf not in SHELVES:
        raise InputError(
            f"there is no list of '{shelf}'{did_you_mean(shelf, SHELVES) or '.'} Lists: {', '.join(SHELVES)}"
        )
    table = _table("name", "what it is")
    if shelf == "stages":
        from myoflow.stage import STAGES

        for name in STAGES:
            table.add_row(name, _headline(STAGES[name]))
    elif shelf in ("sources", "sinks"):
        for name in _plugs(shelf):
            table.add_row(name, _headline(_plugs(shelf)[name]))
    elif shelf == "formats":
        from myoflow.formats import FORMATS

        table.add_column("endings")
        for name in FORMATS:
            table.add_row(name, FORMATS[name].what, " ".join(FORMATS[name].suffixes))
    elif shelf == "backends":
        from myoflow.backend import load_backend
        from myoflow.engine import ENGINES

        table.add_column("here")
        for name in library.names("backends"):
            try:
                backend = load_backend(name)
                table.add_row(name, backend.description, ENGINES[backend.engine]().here(backend))
            except InputError as error:
                table.add_row(name, f"broken: {error}", "")
    elif shelf == "datasets":
        from myoflow.card import load_card

        table.add_column("licence")
        for name in library.names("datasets"):
            try:
                card = load_card(name)
                table.add_row(name, card.title, card.licence)
            except InputError as error:
                table.add_row(name, f"broken: {error}", "")
    else:
        for name in library.names("recipes"):
            table.add_row(name, library.headline(library.find("recipes", name)))
    _print(table)


def show(name: str) -> None:
    """`myoflow show`: one stage, dataset card, backend or recipe."""
    from myoflow.stage import STAGES

    if name in STAGES:
        _stage(STAGES[name])
        return
    for shelf in ("datasets", "backends", "recipes"):
        if name in library.names(shelf) or name.endswith((".yaml", ".yml")):
            _print(library.find(shelf, name).read_text(encoding="utf-8", errors="replace").rstrip())
            return
    shelf, _, rest = name.partition(".")
    if shelf in ("sources", "sinks") and rest in _plugs(shelf):
        _fields(_plugs(shelf)[rest], f"{rest}: ")
        return
    known = [*STAGES, *(n for s in ("datasets", "backends", "recipes") for n in library.names(s))]
    known += [f"{s}.{n}" for s in ("sources", "sinks") for n in _plugs(s)]
    raise InputError(f"there is nothing called '{name}'{did_you_mean(name, known)}")


def _stage(cls: type[Stage]) -> None:
    forms = [form for form, has in (("host", cls.on_host()), ("torch", cls.on_torch())) if has]
    _fields(cls, f"{cls.name}: ", "", f"runs on: {', '.join(forms)}")


def _plugs(shelf: str) -> Registry[Any]:
    """The registry of live sources or sinks."""
    from myoflow.live.sink import SINKS
    from myoflow.live.source import SOURCES

    return SOURCES if shelf == "sources" else SINKS


def _fields(cls: type[Any], title: str, *more: str) -> None:
    """What a class says of itself, and its fields."""
    _print(f"{title}{inspect.cleandoc(cls.__doc__ or '')}", *more)
    table = _table("field", "what it takes", "default")
    hints = hints_of(cls)
    for field in attrs.fields(cls):
        default = "required" if field.default is attrs.NOTHING else plain(field.default, hints[field.name])
        table.add_row(field.name, describe(hints[field.name]), "null" if default is None else str(default))
    if hints:
        _print(table)


def _headline(cls: type[Any]) -> str:
    """The first sentence of its docstring, which may go over several lines."""
    return re.split(r"(?<=\.)\s", inspect.cleandoc(cls.__doc__ or ""), maxsplit=1)[0].replace("\n", " ")
