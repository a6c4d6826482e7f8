"""A video model's settings as a training run is given them, before the data decides what it decides."""

from dataclasses import dataclass, fields
from typing import Literal

from millivid.command import ConfigError
from millivid.command.settings import named_in_full
from millivid.data import LatentDataset
from millivid.diffusion.config import Grid, VideoDiTConfig


@dataclass(frozen=True, kw_only=True)
class ModelSettings(VideoDiTConfig):
    """The network: sizes and inputs.

    grids, latent_channels, action_type: null for those of the data; no others are accepted. num_actions: null for as many
    as the data has, 0 for a model without actions.
    """

    grids: tuple[Grid, ...] | None = None  # type: ignore[assignment]
    latent_channels: int | None = None  # type: ignore[assignment]
    num_actions: int | None = None  # type: ignore[assignment]
    action_type: Literal["categorical", "continuous"] | None = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        pass  # `resolve` checks; until then nothing is known of the data

    def resolve(self, dataset: LatentDataset) -> VideoDiTConfig:
        """The config of a model for a dataset. Raises ConfigError for settings that differ from it or do not fit."""
        index, folder = dataset.index, dataset.folder
        of_data = {"grids": index.grids, "latent_channels": index.channels, "action_type": index.action_type}
        for name, value in of_data.items():
            if (given := getattr(self, name)) not in (None, value):
                raise ConfigError(f"model.{name} is {given}, but the latents in {folder} have {value}; leave it out")
        names = index.action_names
        if self.num_actions not in (None, 0, len(names)):
            has = f"the {len(names)} {index.action_type} actions {', '.join(names)}" if names else "no actions"
            raise ConfigError(
                f"model.num_actions is {self.num_actions}, but {folder} has {has}; leave it out, or set it to 0 for a model "
                "without actions"
            )
        of_data["num_actions"] = 0 if self.num_actions == 0 else len(names)
        try:
            return VideoDiTConfig(**{field.name: getattr(self, field.name) for field in fields(self)} | of_data)
        except ValueError as error:
            raise ConfigError(named_in_full(str(error), VideoDiTConfig, "model.")) from error
