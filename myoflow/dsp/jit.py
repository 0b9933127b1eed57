"""jit: numba's compiler with the settings that every kernel here shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar, cast

import numba
from numba import types

F = TypeVar("F", bound=Callable[..., Any])

_DTYPES: dict[str, Any] = {"f4": types.float32, "f8": types.float64, "i8": types.int64, "u1": types.uint8}


def given(dtype: str, ndim: int, layout: Literal["C", "A"] = "C") -> Any:
    """Type of an array that a kernel only reads: takes writable and read-only ones with one compilation."""
    return types.Array(_DTYPES[dtype], ndim, layout, readonly=True)


def made(dtype: str, ndim: int) -> Any:
    """Type of a C-contiguous array that a kernel writes."""
    return types.Array(_DTYPES[dtype], ndim, "C")


def jit(*arguments: Any, **options: Any) -> Callable[[F], F]:
    """Compile for these argument types; the result is void unless `returns` says otherwise.

    The GIL is released (threads come from an executor: numba's own break after a fork) and machine code is kept
    on disk: beside the module, in the user's cache, or where NUMBA_CACHE_DIR says. Where none of them can be written
    (an installation that is only read, no home) every process compiles anew. Compilation happens when the module is
    imported, so kernels' modules are imported by `Stage.kernel` and not before.
    """
    signature = options.pop("returns", types.void)(*arguments)

    def compiled(function: F) -> F:
        try:
            return cast(F, numba.njit(signature, nogil=True, cache=True, **options)(function))
        except RuntimeError as error:
            if "cannot cache function" not in str(error):
                raise
            return cast(F, numba.njit(signature, nogil=True, **options)(function))

    return compiled


i8, f8 = types.int64, types.float64
