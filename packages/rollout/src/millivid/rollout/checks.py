"""Checks of a schedule's settings, and the error whose message names settings that work."""

import operator
from collections.abc import Iterable


class ScheduleError(ValueError):
    """A schedule, chunk or plan that cannot work; the message says what came, what was expected, and what works."""


def check_integer(value: object, name: str, minimum: int) -> int:
    """Return `value` as an int that is at least `minimum` (numpy integers are accepted, bools and floats are not).

    Raises ScheduleError.
    """
    try:
        integer = None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        integer = None
    if integer is None:
        raise ScheduleError(f"{name} is {value!r} ({type(value).__name__}); expected an integer, {minimum} or more")
    if integer < minimum:
        raise ScheduleError(f"{name} is {integer}; expected an integer, {minimum} or more")
    return integer


def check_integers(values: object, name: str, item: str, minimum: int = 1) -> tuple[int, ...]:
    """Return `values` (one integer per level, finest first) as a non-empty tuple, each at least `minimum`.

    `name` is the setting, `item` what one of its numbers is called. Raises ScheduleError.
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise ScheduleError(f"{name} is {values!r}; expected one integer per level, finest first, such as (1, 4, 16)")
    values = tuple(values)
    if not values:
        raise ScheduleError(f"{name} is empty; expected one integer per level, finest first, such as (1, 4, 16)")
    return tuple(check_integer(value, f"{item} at level {level}", minimum) for level, value in enumerate(values))


def check_flag(value: object, name: str) -> None:
    """Raise ScheduleError unless `value` is True or False."""
    if not isinstance(value, bool):
        raise ScheduleError(f"{name} is {value!r}; expected True or False")


MOST_CELLS = 2**30
"""Of all steps of a chunk, each of which has a byte; the paper's have a million."""


def check_size(steps: int, levels: int, frames: int) -> None:
    """Raise ScheduleError for a chunk that is too large to be laid out."""
    if steps * levels * frames > MOST_CELLS:
        raise ScheduleError(
            f"the chunk has {steps:,} steps over {frames:,} frames at {levels} levels, and {MOST_CELLS:,} cells are the most; "
            "take smaller windows or less history"
        )


def multiples_around(value: int, divisor: int, minimum: int = 1) -> str:
    """Name the multiples of `divisor` next to `value`, for error messages: "48 and 60 are", "12 is"."""
    below = value // divisor * divisor
    neighbours = [multiple for multiple in (below, below + divisor) if multiple >= minimum]
    return f"{neighbours[0]} and {neighbours[1]} are" if len(neighbours) == 2 else f"{neighbours[0]} is"


def check_tokens_per_level(tokens_per_level: object, num_levels: int | None = None) -> tuple[int, ...]:
    """Return the tokens per frame of the levels a schedule uses: shape [level], finest first, never growing.

    `tokens_per_level` may have more levels than `num_levels`; the coarser rest is dropped, because a schedule of few
    levels runs on any pyramid that has at least those. Raises ScheduleError when levels are missing, when a count is
    not a positive integer, or when a coarser level has more tokens than a finer one.
    """
    tokens = check_integers(tokens_per_level, "tokens_per_level", "tokens per frame")
    for level in range(1, len(tokens)):
        if tokens[level] > tokens[level - 1]:
            raise ScheduleError(
                f"level {level} has {tokens[level]} tokens per frame and level {level - 1} only {tokens[level - 1]}; "
                f"expected the finest level first, as in {tuple(sorted(tokens, reverse=True))}"
            )
    if num_levels is None:
        return tokens
    if len(tokens) < num_levels:
        raise ScheduleError(
            f"tokens_per_level {tokens} has {len(tokens)} level{'s' * (len(tokens) > 1)}, but the schedule uses "
            f"{num_levels}; give the schedule {len(tokens)} or the pyramid {num_levels}"
        )
    return tokens[:num_levels]
