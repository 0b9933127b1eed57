"""Recipes: sections, stages, extends, overrides, and the filled form."""

from __future__ import annotations

import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from myoflow import library
from myoflow.card import load_card
from myoflow.errors import InputError, PlanError
from myoflow.language.build import parse_stages
from myoflow.recipe import Data, Recipe, Train, load, load_recipe
from myoflow.split import Split
from myoflow.stage import STAGES, Stage
from myoflow.stages.rectify import Rectify
from myoflow.typed import Duration, Mismatch, Quantity, hints_of

SMALL = """\
data: {dataset: uci_emg, split: {test: [31..36]}}
pipeline:
  - rectify
  - window: {length: 1 s, stride: 250 ms}
  - patch:
      length: 20 samples
      backend: torch
  - rectify:
baselines:
  lda: [features, {lda: {backend: host}}]
  svm: [features, svm]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SMALL)
    return tmp_path


def test_sections_stages_and_defaults(folder: Path) -> None:
    recipe = load("small.yaml")
    assert (recipe.name, recipe.title, recipe.protocol, recipe.backend) == ("small", "small", "strict", None)
    assert recipe.data == Data(dataset="uci_emg", split=Split(test=("31..36",)))
    assert [stage.name for stage in recipe.pipeline] == ["rectify", "window", "patch", "rectify"]
    assert recipe.pipeline[2] == STAGES["patch"](length=Duration(20, "samples"))
    assert recipe.backends == (None, None, "torch", None)
    assert [stage.name for stage in recipe.baselines["lda"]] == ["features", "lda"]
    assert recipe.baseline_backends == {"lda": (None, "host"), "svm": (None, None)}
    assert recipe.train == Train()
    assert recipe.evaluate == Train().task.defaults


def test_a_split_by_the_name_that_the_card_gives_it(folder: Path) -> None:
    (folder / "r.yaml").write_text(SMALL.replace("split: {test: [31..36]}", "split: strict"))
    split = load(folder / "r.yaml").data.split
    assert split == load_card("uci_emg").splits["strict"]
    assert "31..36" in load(folder / "r.yaml").dump()


def test_a_library_name_and_a_path_are_the_same_recipe() -> None:
    assert load("quickstart") == load(library.root() / "recipes" / "quickstart.yaml") == load_recipe("quickstart")


@pytest.mark.parametrize("name", library.names("recipes"))
def test_shipped_recipes_load_and_are_short(name: str) -> None:
    path = library.find("recipes", name)
    text = path.read_text()
    assert len(text.splitlines()) <= 60
    assert f"myoflow run recipes/{name}.yaml" in text
    recipe = load(name)
    assert recipe.name == name and recipe.title != name


def test_the_protocols_of_the_shipped_recipes() -> None:
    strict, folds, published = (load(f"gestures_uci{suffix}") for suffix in ("", "_folds", "_published"))
    assert strict.data.split == published.data.split == Split(train=("1..24",), valid=("25..30",), test=("31..36",))
    assert folds.data.split == Split(folds=6, valid="none")
    assert attrs.evolve(folds.data, split=strict.data.split) == strict.data
    assert (folds.pipeline, folds.baselines, folds.train) == (strict.pipeline, strict.baselines, strict.train)
    assert (strict.protocol, folds.protocol, published.protocol) == ("strict", "strict", "published")
    assert published.data.splice and not strict.data.splice
    assert not any(getattr(stage, "zero_phase", False) for stage in strict.pipeline)


def test_extends_merges_sections_and_replaces_lists(folder: Path) -> None:
    Path("child.yaml").write_text(
        "extends: small.yaml\ndata: {splice: true}\ntrain: {epochs: 3}\nbaselines: {lda: null}\n"
    )
    Path("grandchild.yaml").write_text(
        "extends: child.yaml\npipeline: [rectify]\ntrain: {lr: 1e-2}\nbaselines: {lda: [features, lda]}\n"
    )
    child, grandchild = load("child.yaml"), load("grandchild.yaml")
    assert child.data == attrs.evolve(load("small.yaml").data, splice=True)
    assert child.pipeline == load("small.yaml").pipeline
    assert list(child.baselines) == ["svm"]
    assert grandchild.name == grandchild.title == "grandchild"
    assert grandchild.pipeline == (Rectify(),)
    assert grandchild.train == Train(epochs=3, lr=1e-2)
    assert set(grandchild.baselines) == {"svm", "lda"}


def test_null_clears_what_can_be_null_and_resets_what_cannot(folder: Path) -> None:
    Path("base.yaml").write_text(
        SMALL + "title: The base\ntrain: {epochs: 3, clip: 2.0, patience: 4}\nbackend: torch\n"
    )
    Path("x.yaml").write_text("extends: base.yaml\ntrain: {epochs: null, clip: null}\nbackend: null\n")
    assert load("x.yaml").train == Train(clip=None, patience=4)
    assert load("x.yaml").backend is None
    assert load("x.yaml").title == "x"
    assert load("base.yaml").title == "The base"
    Path("y.yaml").write_text("extends: base.yaml\ntrain: null\n")
    assert load("y.yaml").train == Train()


def test_extends_a_shipped_recipe_even_from_one_that_hides_it(folder: Path) -> None:
    Path("recipes").mkdir()
    Path("recipes/quickstart.yaml").write_text("extends: quickstart\ntrain: {epochs: 1}\n")
    assert load("quickstart").train.epochs == 1
    assert load("quickstart").pipeline == load(library.root() / "recipes" / "quickstart.yaml").pipeline


def test_overrides(folder: Path) -> None:
    recipe = load(
        "small.yaml",
        [
            "train.lr=1e-2",
            "train.betas=[0.8, 0.9]",
            "train.clip=null",
            "pipeline.window.stride=100 ms",
            "pipeline.2.length=10 samples",
            "pipeline.3.backend=host",
            "data.split.test=null",
            "data.split.folds=6",
            "data.labels=[fist, rest]",
            "backend=torch",
            "baselines.svm=null",
            "baselines.lda.lda.shrinkage=auto",
            "title=An experiment",
        ],
    )
    assert recipe.train == Train(lr=1e-2, betas=(0.8, 0.9), clip=None)
    assert recipe.pipeline[1] == STAGES["window"](length="1 s", stride="100 ms")
    assert recipe.pipeline[2] == STAGES["patch"](length="10 samples")
    assert recipe.backends == (None, None, "torch", "host")
    assert recipe.data.split == Split(folds=6)
    assert recipe.data.labels == ("fist", "rest")
    assert recipe.backend == "torch"
    assert list(recipe.baselines) == ["lda"]
    assert recipe.baselines["lda"][1] == STAGES["lda"](shrinkage="auto")
    assert recipe.title == "An experiment"


def test_an_override_takes_a_stage_out_and_gives_one_new_fields(folder: Path) -> None:
    recipe = load(
        "small.yaml", ["pipeline.patch=null", "pipeline.window={length: 2 s, stride: 2 s}", "pipeline.0=null"]
    )
    assert recipe.pipeline == (STAGES["window"](length="2 s", stride="2 s"), Rectify())
    assert str(recipe.located(PlanError("no", 1))) == "small.yaml:8:5: no"


def test_an_override_makes_sections_that_are_not_there(folder: Path) -> None:
    assert load("small.yaml", ["train.epochs=7"]).train.epochs == 7


def test_digest_is_of_what_decides_the_result(folder: Path) -> None:
    recipe = load("small.yaml")
    assert recipe.digest == load("small.yaml", ["title=Other", "name=other"]).digest
    assert recipe.digest == load("small.yaml", ["train.epochs=50"]).digest  # the default
    different = {load("small.yaml", [o]).digest for o in ("train.lr=1e-2", "backend=torch", "pipeline.0=null")}
    assert len(different | {recipe.digest}) == 4


def test_dump_writes_every_default_and_loads_back_equal(folder: Path) -> None:
    dumps = {}
    for name in ("small.yaml", *library.names("recipes")):
        recipe = load(name, ["train.clip=null", "name=a_b.c", "title=' \"quoted\" #1 '"])
        Path("dumped.yaml").write_text(recipe.dump())
        again = load("dumped.yaml")
        assert again == recipe
        assert again.digest == recipe.digest
        assert again.dump() == recipe.dump()
        dumps[name] = recipe.dump()
    assert "positions: rotary" in dumps["quickstart"] and "ema: null" in dumps["quickstart"]
    assert "lookahead: null" in dumps["silent_speech"] and "text:" in dumps["silent_speech"]


def _values(hint: Any) -> st.SearchStrategy[Any]:
    """Values that a field's hint accepts."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return st.floats(1e-3, 1e3) if any(isinstance(a, Quantity) for a in args) else _values(args[0])
    if origin is typing.Literal:
        return st.sampled_from(args)
    if origin is tuple and args[1:] == (Ellipsis,):
        return st.lists(_values(args[0]), min_size=1, max_size=3).map(tuple)
    if args:
        return st.one_of(*(_values(a) for a in args))
    simple: dict[Any, st.SearchStrategy[Any]] = {
        int: st.integers(1, 1000),
        float: st.floats(0.001, 0.999),
        bool: st.booleans(),
        str: st.text(max_size=8),
        type(None): st.none(),
        Duration: st.builds(Duration, st.floats(1e-3, 10))
        | st.builds(Duration, st.integers(1, 999), st.just("samples")),
    }
    return simple[hint]


@pytest.mark.parametrize("name", list(STAGES))
@settings(max_examples=15)
@given(data=st.data())
def test_any_stage_is_dumped_and_loaded_equal(name: str, data: st.DataObject) -> None:
    fields = {field: data.draw(_values(hint), field) for field, hint in hints_of(STAGES[name]).items()}
    try:
        stage: Stage = STAGES[name](**fields)
    except Mismatch:
        assume(False)
    recipe = Recipe(name="x", data=Data(dataset="uci_emg", split=Split(folds=3)), pipeline=(stage,))
    text = recipe.dump()
    stages = text[text.index("pipeline:") : text.index("\nheads:")]
    assert parse_stages(stages) == ((stage,), (None,))


def test_no_stage_has_a_field_that_means_something_else_in_a_recipe() -> None:
    assert [name for name in STAGES if "backend" in hints_of(STAGES[name])] == []


def test_stages_from_text() -> None:
    text = "- rectify\n- notch: {freq: 50 Hz, backend: host}"
    assert parse_stages(text) == ((Rectify(), STAGES["notch"](freq=50.0)), (None, "host"))
    assert parse_stages("pipeline: [rectify]") == ((Rectify(),), (None,))


def test_a_recipe_made_in_python(folder: Path) -> None:
    recipe = Recipe(name="mine", data=Data(dataset="uci_emg", split=Split(folds=3)), pipeline=(Rectify(),))
    assert recipe.backends == (None,)
    Path("mine.yaml").write_text(recipe.dump())
    assert load("mine.yaml", ["title=''"]) == recipe
    assert str(recipe.located(PlanError("does not fit", 0))) == "mine: does not fit"
    assert recipe.with_backend("torch").backend == "torch"
    with pytest.raises(InputError, match="there is no backend 'tork'; did you mean 'torch'"):
        recipe.with_backend("tork")


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"task": "regres"}, ("task",)),
        ({"betas": (0.9, 1.0)}, ("betas", 1)),
        ({"min_lr": 0.1}, ("min_lr",)),
        ({"seeds": ()}, ("seeds",)),
        ({"seeds": (1, 1)}, ("seeds", 1)),
        ({"seeds": (-1,)}, ("seeds", 0)),
    ],
)
def test_train_checks_itself(fields: dict[str, Any], path: tuple[Any, ...]) -> None:
    with pytest.raises(Mismatch) as caught:
        Train(**fields)
    assert caught.value.path == path


@pytest.mark.parametrize("fields", [{"labels": ("a",)}, {"labels": ("a", "a")}, {"regularise": 0.0}])
def test_data_checks_itself(fields: dict[str, Any]) -> None:
    with pytest.raises(Mismatch) as caught:
        Data(dataset="uci_emg", split=Split(folds=3), **fields)
    assert caught.value.path[0] in fields


def test_loading_is_light() -> None:
    code = (
        "import sys; from myoflow.recipe import load; load('gestures_uci_folds');"
        "heavy = {'torch', 'numpy', 'scipy', 'xarray', 'numba', 'sklearn'} & set(sys.modules);"
        "print('heavy:', *heavy)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert found == ["heavy:"]
