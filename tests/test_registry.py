"""Registry: names, suggestions, plugins."""

from importlib.metadata import EntryPoint
from typing import ClassVar

import pytest

from myoflow import registry
from myoflow.errors import InputError
from myoflow.registry import Registry
from myoflow.stage import STAGES, Stage


def test_every_shipped_stage_is_in_a_file_of_its_name() -> None:
    assert list(STAGES)
    for name in STAGES:
        assert STAGES[name].__module__ == f"myoflow.stages.{name}", "a reader finds a stage by its YAML name"


def test_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(InputError, match="there is no stage 'bandpas'; did you mean 'bandpass'"):
        STAGES["bandpas"]


def test_two_classes_cannot_share_a_name() -> None:
    own: Registry[Stage] = Registry("stage", "myoflow.stages")

    @own.add("mine")
    class Mine(Stage):
        pass

    assert Mine.name == "mine"
    with pytest.raises(RuntimeError, match="two stages are called 'mine'"):

        @own.add("mine")
        class Other(Stage):
            pass


class Plugin(Stage):
    """A third party's stage."""

    name: ClassVar[str] = ""


def test_third_parties_register_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("theirs", f"{__name__}:Plugin", "myoflow.stages")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == "myoflow.stages" else [])
    own: Registry[Stage] = Registry("stage", "myoflow.stages")
    assert "theirs" in own
    assert own["theirs"].__qualname__ == "Plugin"


def test_a_plugin_that_cannot_be_imported_stops_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("broken", "no_such_module:Stage", "myoflow.stages"),
        EntryPoint("theirs", f"{__name__}:Plugin", "myoflow.stages"),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == "myoflow.stages" else [])
    own: Registry[Stage] = Registry("stage", "myoflow.stages")
    assert set(own) == {"theirs"} and "broken" not in own
    with pytest.raises(InputError, match=r"stage 'broken' is a plugin, and no_such_module:Stage cannot be imported"):
        own["broken"]
