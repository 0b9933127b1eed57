"""jit: kernels compile also where their machine code cannot be kept."""

from typing import Any

import numba
import numpy as np
import pytest

from myoflow.dsp.jit import given, jit, made


def test_an_installation_that_is_only_read_and_no_home_are_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    real = numba.njit

    def njit(*arguments: Any, cache: bool = False, **options: Any) -> Any:
        if not cache:
            return real(*arguments, **options)

        def refused(function: Any) -> Any:
            raise RuntimeError(f"cannot cache function {function.__name__!r}: no locator available for file 'x.py'")

        return refused

    monkeypatch.setattr(numba, "njit", njit)

    @jit(given("f8", 1), made("f8", 1))
    def double(x, y):  # type: ignore[no-untyped-def]
        for i in range(len(x)):
            y[i] = 2 * x[i]

    out = np.zeros(3)
    double(np.arange(3.0), out)
    assert out.tolist() == [0, 2, 4]
