"""`myoflow lm`: from a text file to an ARPA file, and what it says about wrong ones."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from myoflow.cli import app
from myoflow.errors import InputError
from myoflow.text import arpa
from myoflow.text.ngram import build

LINES = "Turn left.\nturn RIGHT, now!\n\nTurn left - now\n"


def test_a_model_of_a_text_file(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(LINES)
    (tmp_path / "test.txt").write_text("turn left soon\n")
    out = tmp_path / "lm.arpa"
    found = CliRunner().invoke(
        app, ["lm", str(tmp_path / "text.txt"), str(out), "--order", "2", "--test", str(tmp_path / "test.txt")]
    )
    assert found.exit_code == 0, found.output
    assert "3 sentences, 4 words" in found.output and "1 of 3 words are unknown" in found.output
    model = arpa.read(out)
    want = build([["turn", "left"], ["turn", "right", "now"], ["turn", "left", "now"]], 2)
    assert model.order == 2
    assert model.sentence(["turn", "left"]) == pytest.approx(want.sentence(["turn", "left"]), abs=1e-5)


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        (b"\n  \n", [], "no line with a word"),
        (b"caf\xe9\n", [], "byte 3 is no UTF-8"),
        (b"a b\n", ["--digits", "write"], "--digits takes keep or spell, got 'write'"),
    ],
)
def test_wrong_input_is_named(tmp_path: Path, content: bytes, options: list[str], says: str) -> None:
    (tmp_path / "text.txt").write_bytes(content)
    found = CliRunner().invoke(app, ["lm", str(tmp_path / "text.txt"), str(tmp_path / "x.arpa"), *options])
    assert isinstance(found.exception, InputError) and says in str(found.exception)
    assert not (tmp_path / "x.arpa").exists()
