"""Defining the operations with their torch versions, which run wherever no compiled one is loaded."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch

from millivid.kernels.schemas import SCHEMAS

LIBRARY = torch.library.Library("millivid", "DEF")
TORCH: dict[str, Callable[..., Any]] = {}
"""The torch version of every operation."""

Function = TypeVar("Function", bound=Callable[..., Any])


def define(name: str, shapes: Callable[..., Any] | None = None) -> Callable[[Function], Function]:
    """Define an operation whose torch version is the decorated function.

    shapes: the same without looking at any value, for torch.compile; the function itself when left out.
    """

    def register(function: Function) -> Function:
        TORCH[name] = function
        LIBRARY.define(name + SCHEMAS[name])
        LIBRARY.impl(name, function, "CompositeExplicitAutograd")
        torch.library.register_fake(f"millivid::{name}", shapes or function, lib=LIBRARY)
        return function

    return register


def run_in_fixed_order(name: str, *arguments: Any) -> Any:
    """Run an operation that adds up rows, which compiled CUDA does in any order, unless torch was asked not to."""
    if arguments[0].is_cuda and torch.are_deterministic_algorithms_enabled():
        return TORCH[name](*arguments)
    return getattr(torch.ops.millivid, name)(*arguments)
