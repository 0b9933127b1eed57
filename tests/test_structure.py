"""The structure of docs/design.md: imports run down, files stay short, every name of a folder is documented."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "myoflow"

# Floors from the ground up, as in docs/design.md; a folder stands for all of its files.
FLOORS = [
    ("errors", "typed", "progress", "files", "parallel", "cluster", "measure", "distance", "ahead", "units"),
    (
        "spec",
        "registry",
        "library",
        "recording",
        "stage",
        "split",
        "prepared",
        "section",
        "listener",
        "heads",
        "tensors",
        "dsp",
        "nn",
        "text",
        "simulate",
    ),
    (
        "task",
        "engine",
        "pipeline",
        "language",
        "card",
        "backend",
        "settings",
        "recipe",
        "store",
        "readers",
        "formats",
    ),
    ("stages", "network", "lower", "engines", "data", "weights", "export"),
    ("training", "answers", "tasks", "speech", "report"),
    ("mix", "models", "gather", "experiment", "evaluation", "run", "live", "personal"),
    ("tables", "cli", "__main__", "__init__"),
]
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
UPWARDS = {("recipe", "run")}  # Recipe.run, which is there to be called from Python

FILES = sorted(PACKAGE.rglob("*.py"))


def part(path: Path) -> str:
    """The folder or the module directly under myoflow/."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(tree: ast.AST) -> set[str]:
    """Parts of myoflow that a module imports, anywhere, for its type hints, too."""
    found = set()

    def visit(node: ast.AST) -> None:
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] if node.module != "myoflow" else [f"myoflow.{alias.name}" for alias in node.names]
        found.update(name.split(".")[1] for name in names if name.startswith("myoflow."))
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_down(path: Path) -> None:
    own = part(path)
    assert own in FLOOR, f"{own} has no floor yet: put it on one in docs/design.md and here"
    for other in imported(ast.parse(path.read_text(encoding="utf-8"))):
        if (own, other) not in UPWARDS and other in FLOOR:
            assert FLOOR[other] <= FLOOR[own], f"{path.name} imports {other}, which stands above it"


def test_the_floors_are_those_of_the_page() -> None:
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    table = page[page.index("| floor | modules |") : page.index("The one upward look")]
    for names in FLOORS:
        for name in names:
            if not name.startswith("__"):
                assert f"`{name}" in table, name


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 500
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, f"{node.name} is long"


def test_every_module_says_what_it_is() -> None:
    for path in FILES:
        if path.name != "__init__.py" or path.read_text():
            assert ast.get_docstring(ast.parse(path.read_text())), path
