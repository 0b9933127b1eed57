"""Errors: texts and exit codes."""

import pytest

from myoflow.errors import InputError, MyoflowError, PlanError, Position, Problem, RecipeError, did_you_mean


def test_recipe_error_is_one_line_a_problem() -> None:
    error = RecipeError([Problem("bad", Position("x.yaml", 3, 7)), Problem("worse")])
    assert str(error) == "x.yaml:3:7: bad\nworse"


@pytest.mark.parametrize(("error", "code"), [(MyoflowError, 1), (InputError, 2), (PlanError, 2)])
def test_exit_codes(error: type[MyoflowError], code: int) -> None:
    assert error("x").exit_code == code


@pytest.mark.parametrize(
    ("word", "hint"),
    [("hihg", "; did you mean 'high'?"), ("ord", "; did you mean 'order'?"), ("zzz", ""), ("", "")],
)
def test_did_you_mean(word: str, hint: str) -> None:
    assert did_you_mean(word, ["low", "high", "order"]) == hint
