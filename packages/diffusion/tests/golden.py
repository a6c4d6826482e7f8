"""Finding the fixtures that were computed with the authors' code, and building what they describe."""

import json
import os
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from millivid.diffusion import VideoDiT, VideoDiTConfig
from millivid.diffusion.released import from_released_names
from millivid.rollout import Schedule, make_schedule

GOLDEN = Path(os.environ.get("MILLIVID_GOLDEN", Path(__file__).parents[3] / "tests" / "golden"))
VIDEO, EMBEDDING, GRADIENT = 3e-5, 5e-6, 1e-4  # gradients relative to each tensor's largest
Golden = tuple[dict[str, Tensor], dict[str, Any]]

NAMES = {"baseline": "full_resolution"}
SETTINGS = {
    ("millivid", "num_frames_per_level"): "windows",
    ("millivid", "extra_budget"): "history",
    ("framepack", "num_denoised_frames"): "num_targets",
    ("framepack", "num_context_frames"): "context",
    ("framepack_mirrored", "num_denoised_frames"): "targets",
    ("framepack_mirrored", "num_context_frames"): "context",
    ("upscale", "base_num_frames"): "base",
    ("rollout_upscale", "base_num_frames"): "base",
}


@cache
def load(path: Path) -> Golden:
    with safe_open(path, "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, json.loads(file.metadata()["meta"])  # noqa: SIM118


def fixtures(kind: str) -> list[Path]:
    """The fixtures whose metadata's class is `kind`; those of embeddings have none."""
    return [path for path in sorted(GOLDEN.glob("*.safetensors")) if kind_of(load(path)[1]) == kind]


def kind_of(meta: dict[str, Any]) -> str:
    return "embeddings" if "posemb" in meta.get("functions", "") else meta.get("class", "")


READ: set[tuple[Path, str]] = set()


def reading(kind: str, *names: str, besides: str = "") -> pytest.MarkDecorator:
    """Run a test with every fixture of a kind that holds tensors of all these names, and note that it reads them.

    names, besides: patterns; the test reads what `besides` matches only where it is there.
    """
    chosen = []
    for path in fixtures(kind):
        keys = load(path)[0]
        if all(any(re.fullmatch(name, key) for key in keys) for name in names):
            chosen.append(path)
            READ.update((path, key) for key in keys if any(re.fullmatch(name, key) for name in (*names, besides)))
    return pytest.mark.parametrize("path", chosen, ids=lambda path: path.stem)


def assert_all_is_read(path: Path, *elsewhere: str) -> None:
    """Raise for results in a fixture that no test reads, here or (patterns) elsewhere."""
    left = [
        key
        for key in load(path)[0]
        if key.startswith("out.") and (path, key) not in READ and not any(re.fullmatch(name, key) for name in elsewhere)
    ]
    assert not left, f"no test reads {', '.join(left)} of {path}"


def grids_of(meta: dict[str, Any]) -> tuple[tuple[int, int], ...]:
    height, width = (image // patch for image, patch in zip(meta["image_shape"], meta["patch_shape"], strict=True))
    return tuple((height >> level, width >> level) for level in range(meta.get("available_num_levels", 1)))


def schedule_of(strategy: dict[str, Any], padded: bool = False) -> Schedule:
    theirs = strategy["name"]
    settings = {SETTINGS.get((theirs, key), key): value for key, value in strategy.items() if key != "name"}
    return make_schedule(NAMES.get(theirs, theirs), **settings, **({"pads": True} if padded else {}))


def build_model(golden: dict[str, Tensor], meta: dict[str, Any], **settings: Any) -> VideoDiT:
    """The model that a fixture describes, with its weights."""
    names = {"hidden_channels": "width", "depth": "depth", "num_heads": "num_heads"}
    sizes = {names[name]: int(value) for name, value in re.findall(r"(\w+)=(\d+)", meta["dit"])}
    config = {"grids": grids_of(meta), "latent_channels": meta["latent_channels"], **sizes, **settings}
    model = VideoDiT(VideoDiTConfig(**config))
    state = {k.removeprefix("model."): v for k, v in golden.items() if k.startswith("model.dit.")}
    model.load_state_dict(from_released_names(state))
    return model


def assert_near(found: Tensor, expected: Tensor, tolerance: float) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= tolerance


def assert_gradients(model: VideoDiT, golden: dict[str, Tensor]) -> None:
    """The gradients that a fixture has, if it has any, which then are those of every parameter."""
    if not any(key.startswith("grad.") for key in golden):
        return
    expected = from_released_names({k.removeprefix("grad."): v for k, v in golden.items() if k.startswith("grad.")})
    assert expected.keys() == dict(model.named_parameters()).keys()
    for name, parameter in model.named_parameters():
        assert (parameter.grad - expected[name]).abs().max() <= GRADIENT * expected[name].abs().max(), name


def results(golden: dict[str, Tensor], pattern: str) -> list[tuple[str, ...]]:
    """What the tensors' names that match a pattern hold in its groups."""
    found: Sequence[re.Match[str]] = [match for key in golden if (match := re.fullmatch(pattern, key))]
    assert found, f"no tensor matches {pattern}"
    return [match.groups() for match in found]


def same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(torch.equal(a.long(), b.long()))
