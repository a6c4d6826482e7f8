"""Numba compilation that keeps its result on disk where it may, and works where it may not.

Numba's cache looks at the file of the compiled function alone: after editing a function that another file calls, delete
``__pycache__`` (installing the package anew does as much).
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compile a function with numba on its first call; cached beside the source or in the user's cache folder.

    No fast-math: reordered arithmetic would make frames depend on the processor.
    """
    # Division by zero gives infinity, as in numpy. Inlining by force makes the renderer 1.4 times as fast.
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "forceinline": True}
    try:
        return cast(Function, numba.njit(cache=True, **options)(function))
    except RuntimeError:  # neither folder is writable: compile anew in every process
        return cast(Function, numba.njit(**options)(function))
