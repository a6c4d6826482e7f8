"""Schedules of every kind, with settings and pyramids that can be, drawn at random."""

from typing import Any

from hypothesis import strategies as st

from millivid.rollout import make_schedule


@st.composite
def windows(draw: Any, max_levels: int = 4) -> tuple[int, ...]:
    sizes = [draw(st.integers(1, 4))]
    for factor in draw(st.lists(st.integers(1, 4), max_size=max_levels - 1)):
        sizes.append(sizes[-1] * factor)
    return tuple(sizes)


def frame_counts(num_levels: int, fewest: int = 1) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[st.integers(fewest, 9)] * num_levels)


def contexts(num_levels: int) -> st.SearchStrategy[tuple[int, ...]]:
    return frame_counts(num_levels, fewest=0).filter(any)


@st.composite
def mirrored(draw: Any) -> dict[str, Any]:
    num_levels = draw(st.integers(1, 4))
    return {"targets": draw(frame_counts(num_levels)), "context": draw(contexts(num_levels))}


# Histories that are whole frames at every level of the pyramids below are multiples of 1024; with padding, any will do.
EVEN = st.fixed_dictionaries({"windows": windows(), "history": st.sampled_from([0, 1024, 2048])})
PADDED = st.fixed_dictionaries({"windows": windows(), "history": st.integers(0, 2048), "pads": st.just(True)})


SETTINGS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "millivid": EVEN | PADDED,
    "full_resolution": st.fixed_dictionaries({"num_frames": st.integers(2, 30)}),
    "framepack": st.fixed_dictionaries(
        {"num_targets": st.integers(1, 5), "context": st.integers(1, 4).flatmap(contexts)}
    ),
    "framepack_mirrored": mirrored(),
    "rollout_upscale": st.fixed_dictionaries({"base": st.sampled_from([2, 4, 6]), "num_levels": st.integers(1, 3)})
    | st.fixed_dictionaries({"base": st.integers(2, 6), "num_levels": st.integers(1, 3), "pads": st.just(True)}),
    "upscale": st.fixed_dictionaries(
        {"base": st.integers(2, 5), "num_levels": st.integers(1, 3), "pads": st.booleans()}
    ),
}

# Tokens per level of square and of wide frames: 16x16, 8x8, 32x32, 16x32.
PYRAMIDS = st.sampled_from([(256, 64, 16, 4), (64, 16, 4, 1), (1024, 256, 64, 16), (512, 128, 32, 8)])


@st.composite
def named_settings(draw: Any) -> dict[str, Any]:
    name = draw(st.sampled_from(sorted(SETTINGS)))
    return {"name": name} | draw(SETTINGS[name])


UNEVEN = st.sampled_from([(100, 25, 6, 1), (60, 15, 4, 1), (9, 2, 1, 1)])


@st.composite
def chunks(draw: Any) -> Any:
    named = draw(named_settings())
    return make_schedule(**named).chunk(draw(PYRAMIDS | UNEVEN if named.get("pads") else PYRAMIDS))
