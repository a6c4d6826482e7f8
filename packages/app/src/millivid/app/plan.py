"""Draw a rollout plan, as text and as a picture."""

from dataclasses import dataclass, field
from pathlib import Path

from millivid.files.values import check_number
from millivid.rollout import describe_step, draw_plan_gif, draw_plan_png, draw_text, make_schedule


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """What to draw.

    schedule: name and settings; tokens_per_level: finest first; out: a .png of telling steps, or a .gif of all in turn,
    or null for none; steps: how many to print.
    """

    schedule: dict[str, object] = field(
        default_factory=lambda: {"name": "millivid", "windows": [1, 4, 16], "history": 256}
    )
    tokens_per_level: tuple[int, ...] = (256, 64, 16)
    out: Path | None = None
    steps: int = 6

    def __post_init__(self) -> None:
        check_number(self.steps, "steps", 0, whole=True)
        if self.out is not None and self.out.suffix not in (".png", ".gif"):
            raise ValueError(f"out is {self.out}; it must end in .png, or in .gif for all steps in turn")


def draw_plan(config: PlanConfig) -> None:
    """Print the first steps of a schedule's chunk, and write its picture."""
    chunk = make_schedule(**config.schedule).chunk(config.tokens_per_level)  # type: ignore[arg-type]
    for index in range(min(config.steps, len(chunk.steps))):
        print(describe_step(chunk, index))
        print(draw_text(chunk, index), end="\n\n")
    if config.out is not None:
        (draw_plan_gif if config.out.suffix == ".gif" else draw_plan_png)(chunk, config.out)
        print(f"wrote {config.out}")
