"""A walk of the shipped model, quick: two evaluations a step."""

from collections.abc import Callable
from pathlib import Path

import pytest

from millivid.app.pipeline import VideoPipeline
from millivid.app.pipeline_folder import RUNS, WEIGHTS
from millivid.play import Walk, in_a_world

KEEP = 400


@pytest.fixture(scope="session")
def minds() -> dict[str, VideoPipeline]:
    return {
        name: VideoPipeline.from_pretrained(WEIGHTS / name, WEIGHTS / "tokenizer", precision="fp32") for name in RUNS
    }


@pytest.fixture(scope="session")
def new_walk(minds: dict[str, VideoPipeline]) -> Callable[[int, bool], Walk]:
    """Makes a walk from a seed and whether all minds are wanted."""

    def make(seed: int, all_minds: bool) -> Walk:
        chosen = minds if all_minds else {RUNS[0]: minds[RUNS[0]]}
        return Walk(chosen, in_a_world(minds[RUNS[0]].info, seed), seed, KEEP, {"steps": 2})

    return make


@pytest.fixture
def weights() -> Path:
    return WEIGHTS
