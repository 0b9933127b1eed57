"""Evaluate, compare and audit on tiny trained runs: scores on other stores, paired tests, leaks that are planted."""

from __future__ import annotations

import json
import shutil
from contextlib import chdir
from pathlib import Path

import attrs
import numpy as np
import pytest
import tiny
from make_recordings import ORIGIN
from typer.testing import CliRunner

from myoflow.cli import app
from myoflow.errors import InputError
from myoflow.evaluation.audit import _of_twins, overlapping
from myoflow.evaluation.compare import compare
from myoflow.evaluation.evaluate import evaluate
from myoflow.evaluation.prints import Print, twins
from myoflow.recipe import load
from myoflow.recording import Recording
from myoflow.run import Run, load_run, run_recipe
from myoflow.store import Writer, open_store

ALLOWED = "pipeline.tinymyo.allow_missing=[mask_token]"
PLAIN = tiny.RECIPE.replace("epochs: 2", "epochs: 1")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs `one` (subject 4 tested) and `other` (the same, another seed and width)."""
    folder = tmp_path_factory.mktemp("place")
    with chdir(folder):
        path = tiny.write(folder, PLAIN)
        run_recipe(load(path), out=folder / "one")
        run_recipe(load(path, ["pipeline.tinymyo.width=8", "train.seeds=[3]"]), out=folder / "other")
    return folder


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


@pytest.fixture
def one(place: Path) -> Run:
    return load_run(place / "one")


def write(target: Path, records: list[Recording], attributes: dict[str, object]) -> None:
    with Writer(target, attributes, "made") as writer:
        for record in records:
            writer.add(record, ORIGIN)


def part(place: Path, name: str, subjects: tuple[str, ...], **changes: object) -> Path:
    """A store with some subjects' recordings, changed."""
    source, target = open_store(place / "data" / "tiny.zarr"), place / f"{name}.zarr"
    shutil.rmtree(target, ignore_errors=True)
    records = [source.raw(row.id) for row in source.rows if row.subject in subjects]
    write(target, [attrs.evolve(record, **changes) for record in records], dict(source.attrs))
    return target


def test_a_clean_split_says_what_was_looked_at(one: Run) -> None:
    found = {row["about"]: row for row in one.metrics["audit"]}
    assert set(found) == {"windows", "recordings", "people", "statistics", "future"}
    assert not any(row["leak"] for row in found.values())
    tested = one.metrics["windows"]
    assert found["windows"]["text"].startswith(f"0 of {tested} test windows")
    page = (one.folder / "report.html").read_text()
    assert found["recordings"]["text"] in page and "Leak:" not in page


def test_the_test_subject_alone_scores_as_in_the_run(one: Run, place: Path) -> None:
    found = evaluate(one, part(place, "fourth", ("04",)))
    for name, model in one.metrics["models"].items():
        assert found["models"][name]["metrics"] == model["metrics"]
    assert not any(row["leak"] for row in found["audit"])
    assert json.loads((one.folder / "evaluations" / "fourth.json").read_text())["windows"] == found["windows"]


def test_recordings_that_were_trained_on_are_told(one: Run, place: Path) -> None:
    done = CliRunner().invoke(app, ["evaluate", "one", str(part(place, "known", ("01", "04"), session="09"))])
    assert done.exit_code == 0, done.output
    assert "leak: 1 of 2 recordings were trained on: sub-01/ses-09/run-1." in done.output
    assert "1 of these people were trained on" in done.output


def test_a_store_of_another_kind_is_refused(one: Run, place: Path) -> None:
    with pytest.raises(InputError, match=r"fast\.zarr: trained at 200 Hz, got 400 Hz; resample first"):
        evaluate(one, part(place, "fast", ("04",), rate_hz=400.0))
    with pytest.raises(InputError, match=r"counts\.zarr: trained on V, got counts"):
        evaluate(one, part(place, "counts", ("04",), units="counts"))
    store = open_store(place / "data" / "tiny.zarr")
    events = attrs.evolve(store.raw(store.rows[0].id).events, names=("a", "b", "c"))
    with pytest.raises(InputError, match="nothing to test on: no span long enough with one of the labels rest, fist"):
        evaluate(one, part(place, "strangers", ("01",), events=events))


def test_a_fold_that_is_not_there_is_told(one: Run, place: Path) -> None:
    for fold in (0, 2, -1):
        with pytest.raises(InputError, match=rf"one has no fold {fold}; it has one, 1"):
            evaluate(one, place / "data" / "tiny.zarr", fold=fold)
    empty = shutil.copytree(place / "one", place / "empty")
    shutil.rmtree(empty / "fold-1")
    with pytest.raises(InputError, match="empty has lost its predictions"):
        compare(load_run(empty), one)


def test_two_runs_are_compared_window_by_window(place: Path, one: Run) -> None:
    other = load_run(place / "other")
    found = compare(one, other)
    gap = found["differences"]["accuracy"]
    values = [run.metrics["models"]["tinymyo"]["metrics"]["accuracy"]["value"] for run in (one, other)]
    assert gap["value"] == pytest.approx(values[0] - values[1], abs=2e-6)
    assert gap["low"] <= gap["value"] <= gap["high"] and 0 <= gap["p"] <= 1
    back = compare(other, one)["differences"]["accuracy"]
    assert back["value"] == pytest.approx(-gap["value"]) and back["p"] == gap["p"]
    done = CliRunner().invoke(app, ["compare", "one", "other", "--other-model", "lda"])
    assert done.exit_code == 0 and "other/lda" in done.output and "no leak found" in done.output


def test_several_draws_are_compared_as_one(place: Path, one: Run) -> None:
    """Two draws of two seeds each: the means are those of all, and the interval holds both ways of resampling."""
    for draw in (0, 1):
        seeds = f"train.seeds=[{2 * draw}, {2 * draw + 1}]"
        changes = ["data.share=0.5", f"data.share_seed={draw}", seeds]
        run_recipe(load(place / "tiny_run.yaml", changes), out=place / f"draw_{draw}")
    runs = [load_run(place / f"draw_{draw}") for draw in (0, 1)]
    found = compare(runs, runs[::-1], other_model="lda")
    sides = [
        [run.metrics["models"][name]["metrics"]["accuracy"]["value"] for run in runs] for name in ("tinymyo", "lda")
    ]
    gap = found["differences"]["accuracy"]
    assert gap["value"] == pytest.approx(np.mean(sides[0]) - np.mean(sides[1]), abs=2e-6)
    assert gap["low"] <= gap["value"] <= gap["high"] and gap["low"] < gap["high"]
    assert found["one"]["seeds"] == found["other"]["seeds"] == 4, "an LDA counts for each of its draw's networks"
    assert found["interval"]["note"].startswith("2 draws of the training data resampled, too")
    done = CliRunner().invoke(app, ["compare", "draw_*", "draw_*", "--other-model", "lda"])
    assert done.exit_code == 0 and "2 draws of the training data" in done.output
    assert "draw_0 and 1 more/lda" in done.output.replace("\n", " ")
    with pytest.raises(InputError, match="2 runs cannot be paired with 1"):
        compare(runs, one)
    with pytest.raises(InputError, match="not two draws of one experiment"):
        compare([runs[0], runs[0]], runs)
    with pytest.raises(InputError, match=r"learns from a share of 0\.5, .*other from 1: compare draws of one share"):
        compare([runs[0], load_run(place / "other")], runs)
    with pytest.raises(InputError, match="has no counterpart of the same draw"):
        compare(runs, [runs[0], _odd(place)])
    done = CliRunner().invoke(app, ["compare", "nothing_*", "one"])
    assert isinstance(done.exception, InputError) and "no folder matches nothing_*" in str(done.exception)


def _odd(place: Path) -> Run:
    """A draw that has no partner."""
    changes = ["data.share=0.5", "data.share_seed=7", "train.seeds=[0]"]
    return run_recipe(load(place / "tiny_run.yaml", changes), out=place / "odd")


def test_what_cannot_be_compared_is_refused(place: Path, one: Run) -> None:
    with pytest.raises(InputError, match="is compared with itself"):
        compare(one, one)
    with pytest.raises(InputError, match="has no model 'ldda'"):
        compare(one, one, other_model="ldda")
    run_recipe(load(place / "tiny_run.yaml", ["data.split.test=[2]", "data.split.valid=[3]"]), out=place / "second")
    with pytest.raises(InputError, match=r"saw different windows|cannot be compared"):
        compare(one, load_run(place / "second"))


def test_a_recording_under_two_names_is_a_leak(place: Path) -> None:
    """The fourth person's recording is the first's under another name."""
    source = open_store(place / "data" / "tiny.zarr")
    records = [source.raw(row.id) for row in source.rows]
    records[3] = attrs.evolve(records[0], subject="04")
    write(place / "doubled.zarr", records, {**source.attrs})
    (place / "datasets" / "doubled.yaml").write_text(
        tiny.CARD.replace("name: tiny", "name: doubled")
        .replace("reader: simulated", "reader: files")
        .split("options:")[0]
    )
    path = place / "doubled.yaml"
    path.write_text(PLAIN.replace("dataset: tiny", "dataset: doubled, store: doubled.zarr"))
    run = run_recipe(load(path, ["train.seeds=[0]"]), out=place / "doubled")
    leaks = [row["text"] for row in run.metrics["audit"] if row["leak"]]
    assert leaks == ["Test recording sub-04/ses-01/run-1 is training recording sub-01/ses-01/run-1 under another name."]
    assert f"Leak: {leaks[0]}" in (run.folder / "report.html").read_text()


def test_every_person_behind_several_doubled_recordings_is_named() -> None:
    """One person under two others' names: leaving out the first alone would not help."""
    marks = {"sub-9/ses-1/run-1": b"a", "sub-9/ses-2/run-1": b"b", "sub-1/ses-1/run-1": b"a", "sub-2/ses-1/run-1": b"b"}
    learned = {name: Print(mark.hex()) for name, mark in marks.items() if "sub-9" not in name}
    test = {name: Print(mark.hex()) for name, mark in marks.items() if "sub-9" in name}
    finding = _of_twins(twins(test, learned))
    assert finding.leak and finding.text == (
        "Test recording sub-9/ses-1/run-1 is training recording sub-1/ses-1/run-1 under another name, and 1 more, "
        "of sub-1, sub-2."
    )


PRETRAIN = """
data: {dataset: tiny, split: {by: subject, test: [TEST]}ALSO}
pipeline:
  - bandpass: {low: 20 Hz, high: 90 Hz}
  - zscore: {over: train}
  - window: {length: 200 ms, stride: 100 ms}
  - patch: {length: 20 samples}
  - tinymyo: {layers: 1, width: 16, heads: 1}
  - reconstruct
train: {task: pretrain, epochs: 1, lr: 2e-3, batch: 16}
"""


def beginnings(run: Run) -> list[tuple[bool, str]]:
    return [(row["leak"], row["text"]) for row in run.metrics["audit"] if row["about"] == "beginning"]


def adapted(place: Path, name: str, start: str, *changes: str) -> Run:
    given = ["train.seeds=[0]", "train.epochs=1", "baselines=null", start, *changes]
    return run_recipe(load(place / "tiny_run.yaml", given), out=place / name)


def test_weights_that_had_seen_what_is_tested_on_are_a_leak(place: Path) -> None:
    """Person 4 is held out here, and was learned from without labels, with labels, or not at all, before."""
    for name, test, also in (("fair", "4", ""), ("unfair", "3", ""), ("further", "4", ", also: {tiny: {split: null}}")):
        text = PRETRAIN.replace("TEST", test).replace("ALSO", also)
        (place / f"{name}.yaml").write_text(text)
        run_recipe(load(place / f"{name}.yaml"), out=place / name)
    fair = adapted(place, "from_fair", f"pipeline.tinymyo.weights={place / 'fair'}")
    assert [leak for leak, _ in beginnings(fair)] == [False] and "seen none" in beginnings(fair)[0][1]
    assert not any(row["leak"] for row in fair.metrics["audit"])
    first = "1 of 1 test recordings were seen, without labels, by the weights that training began with"
    file = place / "unfair/fold-1/tinymyo/seed-0/weights.safetensors"
    for number, weights in enumerate((place / "unfair", file, place / "further")):
        unfair = adapted(place, f"from_unfair_{number}", f"pipeline.tinymyo.weights={weights}")
        assert beginnings(unfair)[0][0] and beginnings(unfair)[0][1].startswith(first)
    again = adapted(place, "from_unfair_again", f"train.start={place / 'from_unfair_0'}")
    assert [leak for leak, _ in beginnings(again)] == [False, True], "and what those began with"
    labelled = adapted(place, "from_labelled", f"train.start={place / 'from_fair'}", "data.split.test=[2]")
    assert "1 of 1 test recordings were seen, with labels," in beginnings(labelled)[0][1]
    found = [row for row in evaluate(again, place / "data/tiny.zarr")["audit"] if row["about"] == "beginning"]
    assert [row["leak"] for row in found] == [True, True] and "3 of 4 test recordings" in found[1]["text"]


def test_weights_from_elsewhere_are_told(place: Path, one: Run) -> None:
    folder = one.export_folder(place / "elsewhere")
    run = adapted(place, "from_elsewhere", f"pipeline.tinymyo.weights={folder}", ALLOWED)
    assert beginnings(run) == [(False, f"What the weights {folder} had seen before is not known here.")]


def test_recordings_of_a_further_store_are_known_as_trained_on(place: Path, one: Run) -> None:
    part(place, "second", ("02",))
    (place / "datasets" / "second.yaml").write_text(
        tiny.CARD.replace("name: tiny", "name: second")
        .replace("reader: simulated", "reader: files")
        .split("options:")[0]
    )
    also = ", also: {second: {split: null, store: second.zarr}}"
    text = PRETRAIN.replace("TEST", "4").replace("ALSO", also).replace("test: [4]", "train: [1], test: [4]")
    (place / "mixed.yaml").write_text(text)
    run = run_recipe(load(place / "mixed.yaml"), out=place / "mixed")
    found = [row["text"] for row in evaluate(run, place / "second.zarr")["audit"] if row["leak"]]
    assert found == ["1 of 1 recordings were trained on, further stores counted: sub-02/ses-01/run-1."]


def test_windows_that_share_time_are_found() -> None:
    test = {"recording": np.array(["a", "a", "b", "c"]), "start_s": np.array([0.0, 2.0, 0.0, 5.0])}
    learned = {"recording": np.array(["a", "a", "b"]), "start_s": np.array([1.0, 2.9, 0.0])}
    assert overlapping(test, learned, 1.0).tolist() == [False, True, True, False]
    assert overlapping(test, learned, 0.0).tolist() == [False, False, True, False]  # whole utterances: the same one
    assert overlapping(test, learned, 1.1).tolist() == [True, True, True, False]
