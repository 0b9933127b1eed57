"""Broken recipes: each gives one line with file, line and column, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from myoflow.data.source import card_spec
from myoflow.errors import InputError, PlanError, RecipeError
from myoflow.language.build import parse_stages
from myoflow.pipeline import Pipeline
from myoflow.recipe import load

GOOD = """\
data:
  dataset: uci_emg
  split: {by: subject, valid: [25..30], test: [31..36]}
pipeline:
  - bandpass: {low: 20 Hz, high: 90 Hz}
  - rectify
  - window: {length: 1 s, stride: 250 ms}
  - patch: {length: 20 samples}
  - tinymyo: {layers: 2, width: 48}
  - classify: {fusion: concat}
baselines:
  lda: [features, lda]
train: {epochs: 5, lr: 5e-4}
evaluate: [accuracy, macro_f1]
"""

# what is broken: (text of GOOD, what stands there instead, line:column, the message's beginning)
BROKEN = {
    "misspelt field": (
        "high: 90",
        "hi: 90",
        "5:28: bandpass has no field 'hi'; did you mean 'high'? Fields: low, high, order",
    ),
    "misspelt stage": ("- rectify", "- rectfy", "6:5: there is no stage 'rectfy'; did you mean 'rectify'? `myoflow"),
    "misspelt stage with fields": ("- patch:", "- pach:", "8:5: there is no stage 'pach'; did you mean 'patch'?"),
    "misspelt section": (
        "train:",
        "trian:",
        "13:1: a recipe has no field 'trian'; did you mean 'train'? Fields: extends",
    ),
    "misspelt required section": ("pipeline:", "pipelin:", "4:1: a recipe has no field 'pipelin'; did you mean"),
    "misspelt field of a section": ("epochs:", "epoch:", "13:9: train has no field 'epoch'; did you mean 'epochs'?"),
    "misspelt field of the split": ("valid:", "val:", "3:24: data.split has no field 'val'; did you mean 'valid'?"),
    "unlike any field": ("epochs:", "frobnicate:", "13:9: train has no field 'frobnicate'. Fields: task, epochs"),
    "field of a stage without fields": (
        "- rectify",
        "- rectify: {low: 1 Hz}",
        "6:15: rectify has no field 'low'. It has none",
    ),
    "missing field": ("low: 20 Hz, ", "", "5:5: bandpass needs 'low' (a frequency such as '20 Hz')"),
    "missing fields of a bare stage": (
        "- patch: {length: 20 samples}",
        "- patch",
        "8:5: patch needs 'length' (a length",
    ),
    "missing dataset field": ("  dataset: uci_emg\n", "", "1:1: data needs 'dataset' (text)"),
    "missing split": (
        "  split: {by: subject, valid: [25..30], test: [31..36]}\n",
        "",
        "1:1: data needs 'split' (a section)",
    ),
    "wrong unit": ("20 Hz", "20 ms", "5:21: bandpass.low: 'ms' is not a unit of frequency. Units: Hz, kHz, mHz"),
    "unknown unit": ("20 Hz", "20 rpm", "5:21: bandpass.low: 'rpm' is not a unit of frequency. Units: Hz, kHz, mHz"),
    "missing unit": ("20 Hz", "20", "5:21: bandpass.low: 20 has no unit; write '20 Hz'"),
    "missing unit of a length": (
        "1 s,",
        "1,",
        "7:22: window.length: 1 has no unit; write '1 s', '1 ms' or '1 samples'",
    ),
    "negative length": ("1 s,", "-1 s,", "7:22: window.length: a length must be above zero, got '-1 s'"),
    "half a sample": (
        "20 samples",
        "20.5 samples",
        "8:21: patch.length: '20.5 samples' is not a whole number of samples",
    ),
    "text for a number": ("layers: 2", "layers: two", "9:23: tinymyo.layers: expected a whole number, got 'two'"),
    "float for a whole number": ("epochs: 5", "epochs: 5.5", "13:17: train.epochs: expected a whole number, got 5.5"),
    "bool for a whole number": ("epochs: 5", "epochs: true", "13:17: train.epochs: expected a whole number, got true"),
    "number for a bool": ("data:\n", "data:\n  splice: 1\n", "2:11: data.splice: expected true or false, got 1"),
    "YAML 1.1 bool": ("data:\n", "data:\n  splice: yes\n", "2:11: data.splice: expected true or false, got 'yes'"),
    "date for a number": ("5e-4", "2020-01-01", "13:24: train.lr: expected a number, got '2020-01-01'"),
    "not a finite number": ("5e-4", ".nan", "13:24: train.lr: nan is not a finite number"),
    "list for a number": ("epochs: 5", "epochs: [5]", "13:17: train.epochs: expected a whole number, got a list"),
    "scalar for a list": ("[25..30]", "25..30", "3:31: data.split.valid: expected a list"),
    "wrong item of a list": (
        "evaluate: [accuracy, macro_f1]",
        "evaluate: [accuracy, 1]",
        "14:22: evaluate: expected text, got 1",
    ),
    "null for a number": ("epochs: 5", "epochs: null", "13:17: train.epochs: expected a whole number, got nothing"),
    "too few values": ("epochs: 5", "betas: [0.9]", "13:16: train.betas: expected 2 values, got 1"),
    "below the limit": ("epochs: 5", "epochs: 0", "13:17: train.epochs: must be >= 1, got 0"),
    "above the limit": ("epochs: 5", "betas: [0.9, 1.0]", "13:22: train.betas: must be from 0 to below 1, got 1.0"),
    "limits between fields": (
        "epochs: 5",
        "min_lr: 0.1",
        "13:17: train.min_lr: must not be above lr (0.0005), got 0.1",
    ),
    "wrong choice": (
        "concat",
        "konkat",
        "10:24: classify.fusion: 'konkat' is not one of: concat, mean; did you mean 'concat'?",
    ),
    "unknown task": (
        "epochs: 5",
        "task: clasify",
        "13:15: train.task: there is no task 'clasify'; did you mean 'classify'?",
    ),
    "unknown metric": (
        "macro_f1]",
        "macrof1]",
        "14:22: there is no metric 'macrof1'; did you mean 'macro_f1'? Metrics:",
    ),
    "metric twice": ("macro_f1]", "accuracy]", "14:22: evaluate names 'accuracy' twice"),
    "unknown dataset": (
        "uci_emg",
        "uci_egm",
        "2:12: data.dataset: there is no dataset 'uci_egm'; did you mean 'uci_emg'? `myoflow list datasets`",
    ),
    "dataset file that is not there": (
        "uci_emg",
        "sets/mine.yaml",
        "2:12: data.dataset: there is no file sets/mine.yaml",
    ),
    "unknown label": (
        "data:\n",
        "data:\n  labels: [fist, wrist_flexon]\n",
        "2:18: data.labels: uci_emg has no label 'wrist_flexon'; did you mean 'wrist_flexion'?",
    ),
    "unknown backend": (
        "train:",
        "backend: cud\ntrain:",
        "13:10: backend: there is no backend 'cud'; did you mean 'cuda'?",
    ),
    "unknown backend of a stage": (
        "layers: 2,",
        "backend: gpu,",
        "9:24: tinymyo.backend: there is no backend 'gpu'; `myoflow list backends` shows them",
    ),
    "backend beside a stage": (
        "- rectify",
        "- rectify:\n    backend: host",
        "7:5: 'backend' belongs inside rectify: write",
    ),
    "field beside a stage": (
        "- patch: {length: 20 samples}",
        "- patch:\n    length: 20 samples",
        "9:5: 'length' belongs inside",
    ),
    "stage with two names": (
        "- rectify",
        "- rectify:\n    notch: {freq: 50 Hz}",
        "7:5: a stage has one name, this one has 2",
    ),
    "null stage": ("- rectify", "-", "6:4: pipeline: expected a stage, such as '- rectify', got nothing"),
    "number for a stage": ("- rectify", "- 7", "6:5: pipeline: expected a stage, such as '- rectify', got 7"),
    "list for a stage": (
        "- rectify",
        "- [rectify]",
        "6:5: pipeline: expected a stage, such as '- rectify', got a list",
    ),
    "quantity for a stage's fields": (
        "- patch: {length: 20 samples}",
        "- patch: 20 samples",
        "8:12: patch takes fields (length), got '20 samples'",
    ),
    "text for a pipeline": (
        "baselines:\n  lda: [features, lda]",
        "baselines:\n  lda: features",
        "12:8: baselines.lda takes a list",
    ),
    "misspelt stage of a baseline": (
        "features, lda]",
        "feature, lda]",
        "12:9: there is no stage 'feature'; did you mean",
    ),
    "a split that the card does not have": (
        "split: {by: subject, valid: [25..30], test: [31..36]}",
        "split: stric",
        "3:10: data.split: uci_emg has no split called 'stric'; did you mean 'strict'?",
    ),
    "overlapping split": (
        "[25..30]",
        "[25..31]",
        "3:48: data.split.test: subject 31 is in both valid and test: its windows",
    ),
    "overlap with another spelling": (
        "[25..30]",
        '[25, "031"]',
        "3:51: data.split.test: subject 31 is in both valid and test",
    ),
    "unit twice": ("[25..30]", "[25..30, 27]", "3:40: data.split.valid: subject 27 is twice in valid"),
    "folds with test": (
        "by: subject, valid: [25..30],",
        "folds: 6,",
        "3:27: data.split.test: cannot stand beside folds, which choose",
    ),
    "too few folds": (
        "valid: [25..30], test: [31..36]",
        "folds: 2",
        "3:31: data.split.folds: must be at least 3 (test, validation",
    ),
    "nothing held out": (
        ", test: [31..36]",
        "",
        "3:10: data.split: needs 'test' (a list of units to hold out) or 'folds'",
    ),
    "empty part of a split": ("[25..30]", "[]", "3:31: data.split.valid: is empty; name units, or leave it out"),
    "backward range": ("25..30", "30..25", "3:32: data.split.valid: the range 30..25 runs backwards; write 25..30"),
    "bad range": (
        "25..30",
        "a..c",
        "3:32: data.split.valid: 'a..c' is not a range; write whole numbers such as 25..30",
    ),
    "unknown kind of split": ("by: subject", "by: subjects", "3:15: data.split.by: 'subjects' is not one of: subject,"),
    "duplicate key": (
        "low: 20 Hz,",
        "low: 20 Hz, low: 30 Hz,",
        "5:28: duplicate key 'low'; it stands on line 5 already",
    ),
    "duplicate section": (
        "evaluate:",
        "train: {}\nevaluate:",
        "14:1: duplicate key 'train'; it stands on line 13 already",
    ),
    "tag": ("20 samples", "!length 20 samples", "8:21: the tag '!length' is not part of this language; remove it"),
    "anchor": ("{epochs: 5, lr: 5e-4}", "&t {epochs: 5, lr: 5e-4}", "13:8: anchors and aliases (& and *) are not part"),
    "list as a key": ("train: {", "train: {[a, b]: 1, ", "13:9: a key must be one word"),
    "bad extends": (
        "data:\n",
        "extends: quickstrat\ndata:\n",
        "1:10: extends: there is no recipe 'quickstrat'; did you mean",
    ),
    "extends a missing file": (
        "data:\n",
        "extends: base.yaml\ndata:\n",
        "1:10: extends: there is no file 'base.yaml' beside",
    ),
    "extends a number": ("data:\n", "extends: 1\ndata:\n", "1:10: extends takes a recipe's name or a path relative to"),
    "extends itself": ("data:\n", "extends: x.yaml\ndata:\n", "1:10: extends goes in a circle: x.yaml -> x.yaml"),
    "unclosed bracket": ("[25..30]", "[25..30", "3:31: not valid YAML: '[' is never closed, or a comma is missing"),
    "unclosed brace": ("lr: 5e-4}", "lr: 5e-4", "13:8: not valid YAML: '{' is never closed, or a comma is missing"),
    "unclosed quote": ("20 samples", "'20 samples", "8:21: not valid YAML: the quote is never closed"),
    "wrong indent": ("  - rectify", " - rectify", "6:2: not valid YAML: this does not fit what stands before it"),
    "missing colon": ("baselines:", "baselines", "11:1: not valid YAML: "),
    "tab": ("  - rectify", "\t- rectify", "6:1: a tab; YAML is indented with spaces only"),
    "second document": ("train:", "---\ntrain:", "13:1: a second document ('---'); one file holds one"),
    "control character": ("uci_emg", "uci\x07emg", "2:15: a character that YAML does not allow; remove it"),
    "nothing but YAML's list": (GOOD, "- rectify\n", "1:1: expected sections (data:, pipeline:, ...) at the top"),
    "empty file": (GOOD, "", "1:1: the file is empty; `myoflow cp quickstart` gives a recipe to start from"),
    "plain text": (GOOD, "hello\n", "1:1: expected sections (data:, pipeline:, ...) at the top"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def complaints(text: str, *overrides: str, file: str = "x.yaml") -> list[str]:
    Path(file).write_text(text)
    with pytest.raises(RecipeError) as caught:
        load(file, overrides)
    assert caught.value.exit_code == 2
    lines = str(caught.value).splitlines()
    assert len(lines) == len(caught.value.problems)
    return lines


def test_the_unbroken_recipe_loads(folder: Path) -> None:
    Path("x.yaml").write_text(GOOD)
    assert [stage.name for stage in load("x.yaml").pipeline][:2] == ["bandpass", "rectify"]


@pytest.mark.parametrize("case", BROKEN)
def test_broken(case: str, folder: Path) -> None:
    old, new, expected = BROKEN[case]
    assert GOOD.count(old) == 1
    lines = complaints(GOOD.replace(old, new))
    assert len(lines) == 1
    assert lines[0].startswith(f"x.yaml:{expected}")


def test_a_file_of_comments_is_empty(folder: Path) -> None:
    assert "the file is empty" in complaints("# a recipe\n")[0]


def test_missing_sections(folder: Path) -> None:
    assert complaints("train: {epochs: 5}\n") == [
        "x.yaml:1:1: a recipe needs 'data' (a section: which dataset, and how it is split)",
        "x.yaml:1:1: a recipe needs 'pipeline' (a list of stages)",
    ]


def test_all_errors_at_once_in_the_order_of_lines(folder: Path) -> None:
    text = GOOD
    for old, new in [
        ("uci_emg", "uci_egm"),
        ("valid:", "val:"),
        ("low: 20 Hz, high: 90 Hz", "hi: 90, low: 20 km"),
        ("length: 1 s, stride: 250 ms", "length: 1"),
        ("layers: 2, width: 48", "layers: 2.5, width: big, width: 3"),
        ("epochs: 5, lr: 5e-4", "epochs: 0, lr: -1, batch: 0"),
        ("macro_f1", "f1"),
    ]:
        text = text.replace(old, new)
    heads = [line.split(": ")[0] + ": " + line.split(": ")[1] for line in complaints(text)]
    assert heads == [
        "x.yaml:2:12: data.dataset",
        "x.yaml:3:24: data.split has no field 'val'; did you mean 'valid'? Fields",
        "x.yaml:5:16: bandpass has no field 'hi'; did you mean 'high'? Fields",
        "x.yaml:5:29: bandpass.low",
        "x.yaml:7:5: window needs 'stride' (a length such as '200 ms' or '20 samples')",
        "x.yaml:7:22: window.length",
        "x.yaml:9:23: tinymyo.layers",
        "x.yaml:9:35: tinymyo.width",
        "x.yaml:9:40: duplicate key 'width'; it stands on line 9 already",
        "x.yaml:13:17: train.epochs",
        "x.yaml:13:24: train.lr",
        "x.yaml:13:35: train.batch",
        "x.yaml:14:22: there is no metric 'f1'. Metrics",
    ]


def test_not_utf8(folder: Path) -> None:
    Path("x.yaml").write_bytes("# Überschrift\ntitle: Muskel".encode() + b"\xff\n")
    with pytest.raises(RecipeError, match=r"^x\.yaml:2:14: not UTF-8 text; save the file as UTF-8$"):
        load("x.yaml")


def test_no_such_recipe(folder: Path) -> None:
    with pytest.raises(InputError, match="there is no recipe 'quickstrat'; did you mean 'quickstart'"):
        load("quickstrat")
    with pytest.raises(InputError, match=r"there is no file mine/x\.yaml"):
        load("mine/x.yaml")


def test_a_broken_card_is_named_with_its_own_place(folder: Path) -> None:
    Path("set.yaml").write_text("title: A set\nreader: uci_text\nchannels: [a]\nrate: 1000\nlabels: [a, b]\n")
    lines = complaints(GOOD.replace("uci_emg", "set.yaml\n  labels: [a, b]"))
    assert len(lines) == 1
    assert lines[0].endswith("set.yaml:4:7: dataset set.rate: 1000 has no unit; write '1000 Hz'")


def test_an_inherited_error_names_the_base(folder: Path) -> None:
    Path("base.yaml").write_text(GOOD.replace("high:", "hi:"))
    lines = complaints("extends: base.yaml\ntrain: {epochs: x}\n")
    assert [line.split(": ")[0] for line in lines] == ["x.yaml:2:17", "base.yaml:5:28"]


def test_extends_in_a_circle_of_two(folder: Path) -> None:
    Path("base.yaml").write_text("extends: x.yaml\n")
    assert complaints("extends: base.yaml\n") == [
        "base.yaml:1:10: extends goes in a circle: x.yaml -> base.yaml -> x.yaml"
    ]


OVERRIDES = {
    "train.lr=abc": "train.lr: expected a number, got 'abc'",
    "train.lrr=1": "train has no field 'lrr'; did you mean 'lr'?",
    "trian.lr=1": "a recipe has no field 'trian'; did you mean 'train'?",
    "pipeline.bandpass.low=30": "bandpass.low: 30 has no unit; write '30 Hz'",
    "pipeline.bandpas.low=30 Hz": "pipeline has no stage 'bandpas'; did you mean 'bandpass'? Stages: bandpass, rectify",
    "pipeline.9.low=30 Hz": "pipeline has 6 stages, numbered from 0",
    "pipeline.rectify.low=1": "rectify has no field 'low'. It has none",
    "pipeline=[]": "pipeline takes a list of stages ('- rectify'), got an empty list",
    "data.split.folds=6": "data.split.valid: cannot stand beside folds",
    "data.dataset=nothing_like_it": "data.dataset: there is no dataset 'nothing_like_it'",
    "data.dataset.x=1": "data.dataset has no fields",
    "data.split.valid.0=1": "data.split.valid is a list; give the whole list",
    "data=null": "a recipe needs 'data'",
    "backend=gap8": "backend: there is no backend 'gap8'",
    "train.lr": "an override is section.field=value, such as train.lr=1e-3",
    "=1": "an override is section.field=value, such as train.lr=1e-3",
    "train.=1": "an override is section.field=value, such as train.lr=1e-3",
    "train.lr=": "there is no value; write null to take one away",
    "train.lr=[1": "not valid YAML: '[' is never closed",
    "train.lr=!x 1": "the tag '!x' is not part of this language",
}


@pytest.mark.parametrize("override", OVERRIDES)
def test_wrong_overrides_are_named(override: str, folder: Path) -> None:
    line = complaints(GOOD, override)[-1]
    expected = OVERRIDES[override]
    if override in ("data.split.folds=6", "data=null"):  # what is wrong then stands in the file
        assert line.startswith("x.yaml:") and expected in line
    else:
        assert line.startswith(f"{override}: {expected}")


def test_an_ambiguous_stage_needs_its_index(folder: Path) -> None:
    text = GOOD.replace("- rectify", "- bandpass: {low: 30 Hz, high: 60 Hz}")
    message = "pipeline has 2 stages 'bandpass'; write pipeline.0 or pipeline.1"
    assert complaints(text, "pipeline.bandpass.low=1 Hz") == [f"pipeline.bandpass.low=1 Hz: {message}"]


def test_file_errors_come_before_override_errors(folder: Path) -> None:
    lines = complaints(GOOD.replace("epochs: 5", "epochs: x"), "train.lr=abc", "nonsense")
    assert [line.split(":")[0] for line in lines] == ["x.yaml", "nonsense", "train.lr=abc"]


# a plan that cannot work: (text, instead, line:column, part of the message)
UNPLANNABLE = {
    "no patch divides the window": ("20 samples", "30 samples", "8:21", "cannot be cut into patches of 30 samples"),
    "heads that do not share the width": ("width: 48", "heads: 5", "9:33", "cannot be shared by 5 heads"),
    "too high a frequency": ("90 Hz", "600 Hz", "5:34", "600 Hz"),
    "window shorter than a sample": ("1 s,", "10 us,", "7:22", "less than one sample"),
    "features before windows": ("- rectify", "- features", "6:5", "put a window stage before it"),
    "default that does not fit": ("layers: 2, width: 48", "width: 50", "9:5", "cannot be shared by 3 heads"),
}


@pytest.mark.parametrize("case", UNPLANNABLE)
def test_planning_errors_are_located(case: str, folder: Path) -> None:
    old, new, place, part = UNPLANNABLE[case]
    Path("x.yaml").write_text(GOOD.replace(old, new))
    recipe = load("x.yaml")
    with pytest.raises(PlanError) as caught:
        Pipeline(recipe.pipeline, backends=recipe.backends).plan(card_spec(recipe.data))
    located = recipe.located(caught.value)
    assert str(located).startswith(f"x.yaml:{place}: ")
    assert part in str(located)
    assert located.exit_code == 2


def test_planning_errors_of_a_baseline_and_of_an_override(folder: Path) -> None:
    Path("x.yaml").write_text(GOOD)
    recipe = load("x.yaml", ["pipeline.patch.length=7 samples"])
    # window is stage 2, so a baseline's own stages count from 3
    assert str(recipe.located(PlanError("no", 4), "lda")) == "x.yaml:12:19: no"
    assert str(recipe.located(PlanError("no", 1, "low"), "lda")) == "x.yaml:6:5: no"
    assert str(recipe.located(PlanError("no"), "lda")) == "x.yaml:12:3: no"
    assert str(recipe.located(PlanError("no", 3, "length"))) == "pipeline.patch.length=7 samples: no"
    assert str(recipe.located(PlanError("no"))) == "x.yaml:4:1: no"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- rectify\n- bandpas: {low: 1 Hz}", "pipeline:2:3: there is no stage 'bandpas'; did you mean 'bandpass'?"),
        ("rectify", "pipeline:1:1: pipeline takes a list of stages ('- rectify'), got 'rectify'"),
        ("", "pipeline:1:1: pipeline takes a list of stages ('- rectify'), got nothing"),
        ("pipeline: [rectify]\ntrain: {}", "pipeline:2:1: the text has no field 'train'. Fields: pipeline"),
    ],
)
def test_stages_from_text(text: str, expected: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_stages(text)
    assert str(caught.value).startswith(expected)
