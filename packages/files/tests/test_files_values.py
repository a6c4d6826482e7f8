"""Values from Python are of their type and within their range, or one sentence says which are not."""

import math
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pytest
from msgspec import Meta

from millivid.files.values import check_fields, check_number


@pytest.mark.parametrize("value", [2, 10, np.int64(3), np.uint8(10)])
def test_whole_numbers_within_the_range_pass(value: object) -> None:
    check_number(value, "steps", 2, 10, whole=True)


@pytest.mark.parametrize("value", [0.5, 1, np.float32(0.25), 0])
def test_numbers_within_the_range_pass(value: object) -> None:
    check_number(value, "share", 0, 1)


@pytest.mark.parametrize(
    "value",
    [1, 11, -(10**40), 10**400, True, np.True_, 2.0, math.nan, math.inf, "3", b"3", None, [3], np.array([2, 3])],
)
def test_anything_else_is_one_sentence(value: object) -> None:
    with pytest.raises(
        ValueError, match=r"^steps is .*; it must be a whole number from 2 to 10, 5 is usual$"
    ) as caught:
        check_number(value, "steps", 2, 10, whole=True, hint=", 5 is usual")
    assert len(str(caught.value)) < 160


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, True, "0.5", None, 1j])
def test_no_bound_above_is_still_finite(value: object) -> None:
    with pytest.raises(ValueError, match="share is .*; it must be a finite number of at least 0$"):
        check_number(value, "share", 0)


@dataclass(frozen=True)
class Settings:
    name: ClassVar[str] = "not a field"

    size: tuple[Annotated[int, Meta(gt=0)], ...] = (1, 2)
    rate: float = 1.0
    kind: Literal["a", "b"] = "a"
    more: dict[str, Any] = field(default_factory=dict)


def test_fields_as_their_annotations_say_pass() -> None:
    check_fields(Settings())
    check_fields(Settings(size=(), rate=2, more={"x": [1, None]}))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": (1, 0)}, r"size is \(1, 0\); expected int >= 1 at \[1\]"),
        ({"size": (1, True)}, r"size is \(1, True\); expected int, got bool at \[1\]"),
        ({"rate": "fast"}, "rate is 'fast'; expected float, got str"),
        ({"rate": math.nan}, "rate is nan; numbers must be finite"),
        ({"more": {"x": [math.inf]}}, "more is .*; numbers must be finite"),
        ({"kind": "c"}, "kind is 'c'; use a or b"),
    ],
)
def test_a_field_of_another_type_or_range_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_fields(Settings(**settings))
