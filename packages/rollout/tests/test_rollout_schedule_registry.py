"""Schedules of other packages, found by entry point."""

import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from millivid.rollout import MilliVid, ScheduleError, make_schedule, schedule_names
from millivid.rollout.schedule_registry import BUILT_IN, GROUP

MODULE = """
from dataclasses import dataclass
from typing import ClassVar
from millivid.rollout import Chunk, Schedule, check_tokens_per_level, make_step

@dataclass(frozen=True, kw_only=True)
class Newest(Schedule):
    name: ClassVar[str] = "newest"
    num_levels: ClassVar[int] = 1
    memory: int = 2

    def chunk(self, tokens_per_level):
        tokens = check_tokens_per_level(tokens_per_level, 1)
        step = make_step(self.memory + 1, [[(0, self.memory)]], [[(self.memory, self.memory + 1)]], group=0)
        return Chunk(steps=(step,), tokens_per_level=tokens, target_start=self.memory)

class Other(Newest):
    name = "someone_else"
"""


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Put a distribution on the path that declares these entry points; `acme_schedules` is its one module."""
    (tmp_path / "acme_schedules.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "acme_schedules", raising=False)

    def declare(*lines: str, name: str = "acme") -> None:
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines]))

    return declare


def test_a_schedule_of_another_package(distribution) -> None:  # type: ignore[no-untyped-def]
    assert "newest" not in schedule_names()
    distribution("newest = acme_schedules:Newest")
    assert "newest" in schedule_names()
    schedule = make_schedule("newest", memory=3)
    assert schedule.chunk((64, 16)).num_tokens == 256
    assert schedule.settings() == {"name": "newest", "memory": 3}
    assert make_schedule(**schedule.settings()) == schedule
    with pytest.raises(ScheduleError, match="did you mean 'memory'"):
        make_schedule("newest", memroy=3)
    with pytest.raises(ScheduleError, match="did you mean 'newest'"):
        make_schedule("newst")


def test_a_broken_distribution_is_named_and_harms_no_other(distribution) -> None:  # type: ignore[no-untyped-def]
    distribution("gone = acme_nowhere:Gone", "newest = acme_schedules:Newest", "wrong = acme_schedules:make_step")
    assert {"gone", "newest", "wrong", "millivid"} <= set(schedule_names())
    assert make_schedule("newest")
    assert make_schedule("millivid", windows=[1, 4]) == MilliVid(windows=(1, 4))
    with pytest.raises(ScheduleError, match="distribution 'acme' .acme_nowhere:Gone. cannot be imported: ModuleNotF"):
        make_schedule("gone")
    with pytest.raises(ScheduleError, match="distribution 'acme'.* expected a dataclass that subclasses"):
        make_schedule("wrong")


def test_a_name_that_would_not_be_found_again(distribution) -> None:  # type: ignore[no-untyped-def]
    distribution("renamed = acme_schedules:Other")
    with pytest.raises(ScheduleError, match="calls itself 'someone_else'; expected the class attribute `name`"):
        make_schedule("renamed")


def test_one_name_declared_twice(distribution) -> None:  # type: ignore[no-untyped-def]
    distribution("newest = acme_schedules:Newest")
    distribution("newest = acme_schedules:Other", name="rival")
    with pytest.raises(ScheduleError, match="'acme' .acme_schedules:Newest. and distribution 'rival'"):
        make_schedule("newest")


def test_nobody_replaces_a_built_in_schedule(distribution) -> None:  # type: ignore[no-untyped-def]
    distribution("millivid = acme_schedules:Newest")
    assert isinstance(make_schedule("millivid", windows=(1,)), MilliVid)


def test_the_built_in_schedules_are_declared_too() -> None:
    declared = {
        entry.name: entry.load()
        for entry in entry_points(group=GROUP)
        if entry.dist is not None and entry.dist.name == "millivid-rollout"
    }
    if not declared:
        pytest.skip("millivid-rollout is not installed")
    assert declared == BUILT_IN
