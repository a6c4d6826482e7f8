"""Settings of Minecraft through MineRL."""

from dataclasses import dataclass
from typing import ClassVar

from ..world import WorldConfig


@dataclass(frozen=True, kw_only=True)
class MinerlConfig(WorldConfig):
    """Settings of Minecraft through MineRL, besides those of every world. The defaults are those of LOOPCRAFT.

    Attributes:
        render_size: (height, width) that the game renders; frames are means over boxes of it.
        settle: frames without an action at the start, while the game loads what is around and the agent lands.

    Raises:
        ValueError: a value is out of range, or ``render_size`` is no multiple of ``size``.
    """

    world: ClassVar[str] = "minerl"

    size: tuple[int, int] = (256, 256)
    frames_per_action: int = 9
    jump: bool = True
    render_size: tuple[int, int] = (512, 512)
    settle: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "render_size", tuple(int(side) for side in self.render_size))  # JSON has lists
        self._require(settle=(0, 1000))
        factor = max(1, round(self.render_size[0] / self.size[0]))
        fitting = (self.size[0] * factor, self.size[1] * factor)
        if self.render_size != fitting:
            raise ValueError(
                f"render_size {self.render_size} is no multiple of size {self.size}, by the same factor along both "
                f"sides; {fitting} is"
            )

    @property
    def factor(self) -> int:
        """Rendered pixels along each side of a pixel of the frame."""
        return self.render_size[0] // self.size[0]
