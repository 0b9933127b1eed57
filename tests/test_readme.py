"""README: its Python blocks run, in order, in an empty folder."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_python_blocks_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    assert len(blocks) == 5
    names: dict[str, object] = {}
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"README.md, block {number}", "exec"), names)
    assert names["scores"].dims == ("window", "label")
    assert names["decision"].label in names["scores"].label.values
    assert set(names["decisions"].values) <= set(names["scores"].label.values)


def test_the_recipe_shown_is_a_recipe(tmp_path: Path) -> None:
    from myoflow.models import plan_recipe
    from myoflow.recipe import load

    block = re.search(r"```yaml\n(.*?)```", README, flags=re.S)
    assert block
    path = tmp_path / "shown.yaml"
    path.write_text(block.group(1), encoding="utf-8")
    plans = plan_recipe(load(str(path)))
    assert plans["tinymyo"].output.size("label") >= 6
    assert "lda" in plans


def test_every_verb_is_in_the_table() -> None:
    import typer.main

    from myoflow.cli import app

    verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    table = "".join(line for line in README.splitlines() if line.startswith("| `"))
    for verb in verbs:
        assert f"`{verb} " in table or f"`{verb}`" in table, verb


def test_make_targets_shown_exist() -> None:
    makefile = (Path(__file__).parent.parent / "Makefile").read_text()
    for target in re.findall(r"^make (\S+)", README, flags=re.M):
        assert re.search(rf"^{target}:", makefile, flags=re.M), target
