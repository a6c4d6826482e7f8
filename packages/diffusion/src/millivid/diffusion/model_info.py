"""`video_model.json`: what a saved video model has to say beside its weights and its network's config."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from millivid.diffusion.solvers import make_solver
from millivid.files import read_json, write_json
from millivid.rollout import Schedule, make_schedule

FILE = "video_model.json"


@dataclass(frozen=True, kw_only=True)
class VideoModelInfo:
    """How a video model was trained, and how it is sampled and measured.

    schedule: name and settings of its rollout schedule. tokenizer: the fingerprint of the one that made its latents. shift: of
    the noise schedule. examples: seen in training, those of the model that it began with included, None where unknown.
    sampling_steps, solver, last_time: of the sampler that it was measured with, see `SamplerConfig`. context: how many frames
    it is given. horizons: last generated frame of each that it is measured at. action_names: of categorical actions in order,
    or of a vector's components. trained_on: what its dataset says of its origin (`dataset.json`, source): for a recorded one
    the world and its settings.

    None and empty stand for what a model saved by an earlier version does not say; it was sampled by ddim to time 0.
    """

    schedule: Mapping[str, Any]
    tokenizer: str
    shift: float = 1.0
    examples: int | None = None
    sampling_steps: int | None = None
    solver: str = "ddim"
    last_time: float = 0.0
    context: int | None = None
    horizons: tuple[int, ...] = ()
    action_names: tuple[str, ...] = ()
    trained_on: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, least in (("examples", 0), ("sampling_steps", 2), ("context", 1)):
            if (value := getattr(self, name)) is not None and value < least:
                raise ValueError(f"{name} is {value}; it must be at least {least}")
        make_solver(self.solver, self.sampling_steps or 2, self.last_time)
        if min(self.horizons, default=1) < 1 or not 0 < self.shift < math.inf:
            raise ValueError(f"horizons {self.horizons} and shift {self.shift} must be above 0, and shift finite")

    def make_schedule(self) -> Schedule:
        """The rollout schedule; raises ValueError where its settings cannot be."""
        return make_schedule(**self.schedule)

    def horizons_within(self, frames: int) -> tuple[int, ...]:
        """The model's horizons for so many generated frames: those that end before, and all frames."""
        return (*(end for end in self.horizons if end < frames), frames)

    def save(self, folder: str | Path) -> None:
        """Write the file into a saved model's folder, whole or not at all."""
        write_json(Path(folder) / FILE, asdict(self))

    @classmethod
    def read(cls, folder: str | Path) -> Self:
        """The info of a saved model's folder.

        Raises ValueError, naming the file, where it is missing or damaged.
        """
        file = Path(folder) / FILE
        if not file.is_file():
            raise ValueError(f"{folder} has no {FILE}, so its schedule is unknown; train it with millivid train")
        info = read_json(file, cls, then="save the model again")
        try:
            info.make_schedule()
        except (TypeError, ValueError) as error:
            raise ValueError(f"{file}: schedule: {error}; save the model again") from error
        return info
