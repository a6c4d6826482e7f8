"""What a training run's model takes over from its data, and what is refused."""

from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("millivid.training", reason="settings belong to the extra [train]")
pytest.importorskip("millivid.data", reason="settings belong to the extra [train]")

from millivid.command import ConfigError, load_config, to_plain
from millivid.diffusion import VideoDiTConfig
from millivid.diffusion.model_settings import ModelSettings
from millivid.diffusion.train import ADDED, FREE_TO_CHANGE, TrainDiffusionConfig
from millivid.training import open_run

GRIDS = ((4, 4), (2, 2))
WALK = SimpleNamespace(
    folder="latents",
    index=SimpleNamespace(grids=GRIDS, channels=48, action_type="categorical", action_names=("w", "a", "s", "d")),
)


def resolve(*words: str) -> VideoDiTConfig:
    config = load_config(TrainDiffusionConfig, ["data=latents", "out=run", *words])
    return config.model.resolve(WALK)  # type: ignore[arg-type]


def test_what_is_left_out_is_as_the_data_has_it() -> None:
    expected = VideoDiTConfig(grids=GRIDS, latent_channels=48, num_actions=4, width=24, depth=2, num_heads=2)
    assert resolve("model.width=24", "model.depth=2", "model.num_heads=2") == expected


def test_what_the_data_has_may_be_given() -> None:
    given = ["model.grids=[[4,4],[2,2]]", "model.latent_channels=48", "model.num_actions=4"]
    assert resolve(*given, "model.action_type=categorical") == resolve()


def test_a_model_may_do_without_actions() -> None:
    assert resolve("model.num_actions=0").num_actions == 0


@pytest.mark.parametrize(
    ("word", "sentence"),
    [  # the first four are the defaults of the network's own config
        (
            "model.grids=[[16,16],[8,8],[4,4],[2,2]]",
            r"model.grids is .*, but the latents in latents have \(\(4, 4\), \(2",
        ),
        ("model.latent_channels=32", "model.latent_channels is 32, but the latents in latents have 48; leave it out"),
        (
            "model.num_actions=3",
            "model.num_actions is 3, but latents has the 4 categorical actions w, a, s, d; leave it",
        ),
        (
            "model.action_type=continuous",
            "model.action_type is continuous, but the latents in latents have categorical",
        ),
        ("model.width=50", "model.width 50 must be at least 12 and a multiple of num_heads 12"),
        ("model.odometry=[[1,0],[0,9]]", "model.odometry has 2 entries for 4 actions"),
    ],
)
def test_what_differs_from_the_data_or_does_not_fit_is_refused(word: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        resolve(word)


def test_a_run_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    """`run.json` then held the network's defaults, whatever the data had, and fewer settings."""
    config = load_config(TrainDiffusionConfig, ["data=latents", "out=run", "model.width=24"])
    earlier = to_plain(config) | {"model": to_plain(VideoDiTConfig(width=24))}
    for name in ADDED:
        group, _, setting = name.rpartition(".")
        del (earlier[group] if group else earlier)[setting]
    open_run(tmp_path, "a video model's training", earlier)
    resolved = to_plain(config.model.resolve(WALK))  # type: ignore[arg-type]
    open_run(tmp_path, "a video model's training", to_plain(config) | {"model": resolved}, FREE_TO_CHANGE, ADDED)
    with pytest.raises(ValueError, match="model.width was 24 and is now 36"):
        open_run(
            tmp_path, "a video model's training", earlier | {"model": resolved | {"width": 36}}, FREE_TO_CHANGE, ADDED
        )
    now = to_plain(config) | {"model": resolved, "targets_per_context": 4}
    with pytest.raises(ValueError, match="targets_per_context was 1 and is now 4"):
        open_run(tmp_path, "a video model's training", now, FREE_TO_CHANGE, ADDED)


def test_settings_are_the_networks_config() -> None:
    assert ModelSettings.__dataclass_fields__.keys() == VideoDiTConfig.__dataclass_fields__.keys()
