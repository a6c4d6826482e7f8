"""The authors' code and ours give the same numbers: every fixture of a tokenizer in tests/golden, or in $MILLIVID_GOLDEN."""

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from millivid.tokenizer import HierarchicalTokenizer, TokenizerConfig, image_pyramid, tokenizer_loss, unpatchify
from millivid.tokenizer.config import SIZES
from millivid.tokenizer.pyramid import sincos_2d

GOLDEN = Path(os.environ.get("MILLIVID_GOLDEN", Path(__file__).parents[3] / "tests" / "golden"))
ABSOLUTE, GRADIENT = 5e-6, 1e-5  # gradients relative to each tensor's largest


@cache
def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    with safe_open(path, "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, json.loads(file.metadata()["meta"])  # noqa: SIM118


FIXTURES = [path for path in sorted(GOLDEN.glob("*.safetensors")) if load(path)[1].get("class") == "ModelAutoencoder"]
EMBEDDINGS = [path for path in sorted(GOLDEN.glob("*.safetensors")) if "posemb" in load(path)[1].get("functions", "")]
READ: set[tuple[Path, str]] = set()


def reading(*names: str, besides: str = "") -> pytest.MarkDecorator:
    """Run a test with every tokenizer that has tensors of all these names, and note that it reads them.

    names, besides: patterns; the test reads what `besides` matches only where it is there.
    """
    chosen = []
    for path in FIXTURES:
        keys = load(path)[0]
        if all(any(re.fullmatch(name, key) for key in keys) for name in names):
            chosen.append(path)
            READ.update((path, key) for key in keys if any(re.fullmatch(name, key) for name in (*names, besides)))
    return pytest.mark.parametrize("fixture", chosen, indirect=True, ids=lambda path: path.stem)


def sizes(described: str, prefix: str = "") -> dict[str, int]:
    """The sizes in a description such as DiT(hidden_channels=64, depth=2, num_heads=4)."""
    names = {"hidden_channels": "width", "depth": "depth", "num_heads": "num_heads"}
    return {prefix + names[name]: int(value) for name, value in re.findall(r"(\w+)=(\d+)", described)}


@pytest.fixture
def fixture(request: pytest.FixtureRequest) -> tuple[dict[str, Tensor], dict[str, Any]]:
    return load(request.param)


@pytest.fixture
def golden(fixture: tuple[dict[str, Tensor], dict[str, Any]]) -> dict[str, Tensor]:
    return fixture[0]


@pytest.fixture
def model(fixture: tuple[dict[str, Tensor], dict[str, Any]]) -> HierarchicalTokenizer:
    golden, meta = fixture
    config = TokenizerConfig(
        image_size=tuple(meta["image_shape"]),
        patch_size=tuple(meta["patch_shape"]),
        num_levels=meta["available_num_levels"],
        latent_channels=meta["latent_channels"],
        variant=meta["variant"],
        **sizes(meta["encoder"]),
        **sizes(meta["decoder"], "decoder_"),
    )
    model = HierarchicalTokenizer(config)
    model.load_state_dict({k.removeprefix("model."): v for k, v in golden.items() if k.startswith("model.")})
    return model


def assert_near(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= ABSOLUTE


def levels_of(golden: dict[str, Tensor], prefix: str) -> list[int]:
    levels = sorted(int(key.removeprefix(prefix)) for key in golden if key.startswith(prefix))
    assert levels
    return levels


@reading(r"out\.patches", r"out\.pyramid_image_level0", besides=r"out\.pyramid_image_level\d+")
def test_pyramid_and_patches(model: HierarchicalTokenizer, golden: dict[str, Tensor]) -> None:
    assert_near(model.patches(golden["in.images"]), golden["out.patches"].flatten(2))
    images = image_pyramid(golden["in.images"], model.config.num_levels)
    for level in levels_of(golden, "out.pyramid_image_level"):
        assert_near(images[level], golden[f"out.pyramid_image_level{level}"])


@reading(r"out\.latents", besides=r"out\.indices_lhw")
def test_latents(model: HierarchicalTokenizer, golden: dict[str, Tensor]) -> None:
    order = [
        [level, row, column]
        for level, (height, width) in enumerate(model.config.grids)
        for row in range(height)
        for column in range(width)
    ]
    assert all(indices.long().tolist() == order for indices in golden.get("out.indices_lhw", ()))
    assert_near(model.encode_patches(model.patches(golden["in.images"])), golden["out.latents"])
    assert_near(
        torch.cat([level.flatten(1, 2) for level in model.encode(golden["in.images"])], dim=1), golden["out.latents"]
    )


@reading(r"out\.decoded_patches_from_level\d+", r"out\.latents")
def test_decoded_patches(model: HierarchicalTokenizer, golden: dict[str, Tensor]) -> None:
    for level in levels_of(golden, "out.decoded_patches_from_level"):
        decoded = model.decode_patches(golden["out.latents"], torch.full((len(golden["in.images"]),), level))
        assert_near(decoded, golden[f"out.decoded_patches_from_level{level}"].flatten(2))
        split = golden["out.latents"].split(model.config.tokens_per_level, dim=1)
        pyramid = [x.unflatten(1, grid) for x, grid in zip(split, model.config.grids, strict=True)]
        finest = golden[f"out.decoded_patches_from_level{level}"].flatten(2)[:, : model.config.tokens_per_level[0]]
        assert_near(model.decode(pyramid, level), unpatchify(finest, model.config.grids[0], model.config.patch_size))


@reading(r"out\.video_frames_level\d+")
def test_decoded_video(model: HierarchicalTokenizer, golden: dict[str, Tensor]) -> None:
    frame, level_of, row, column = golden["in.video_indices_flhw"].long().unbind(-1)
    batch, first, count = len(frame), int(frame.min()), int(frame.max() - frame.min()) + 1
    pyramid = [
        golden["in.video_tokens"].new_zeros(batch, count, *grid, model.config.latent_channels)
        for grid in model.config.grids
    ]
    for level, store in enumerate(pyramid):
        example, token = (level_of == level).nonzero(as_tuple=True)
        at = example, frame[example, token] - first, row[example, token], column[example, token]
        store[at] = golden["in.video_tokens"][example, token]
    for level in levels_of(golden, "out.video_frames_level"):
        expected = golden[f"out.video_frames_level{level}"]
        assert_near(model.decode(pyramid, level).reshape(expected.shape), expected)


@reading(r"out\.train_loss", besides=r"out\.train_loss_mse")
def test_loss_and_gradients(model: HierarchicalTokenizer, golden: dict[str, Tensor]) -> None:
    loss, parts = tokenizer_loss(model, golden["in.images"], golden["rng.train_level"].long())
    assert_near(parts["mse"], golden.get("out.train_loss_mse", parts["mse"]))
    assert_near(loss, golden["out.train_loss"])
    loss.backward()
    named = dict(model.named_parameters())
    expected = {key.removeprefix("grad."): value for key, value in golden.items() if key.startswith("grad.")}
    if not expected:
        return
    assert expected.keys() <= named.keys()
    for name, parameter in named.items():
        if name not in expected:
            assert parameter.grad is None or not parameter.grad.any(), name
        else:
            assert (parameter.grad - expected[name]).abs().max() <= GRADIENT * expected[name].abs().max(), name


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_nothing_in_a_fixture_is_left_unread(path: Path) -> None:
    left = [key for key in load(path)[0] if key.startswith("out.") and (path, key) not in READ]
    assert not left, f"no test reads {', '.join(left)} of {path}"


@pytest.mark.parametrize("path", EMBEDDINGS, ids=lambda path: path.stem)
def test_position_embedding(path: Path) -> None:
    golden, _ = load(path)
    _, _, row, column = golden["in.indices"].long().unbind(-1)
    for dim in levels_of(golden, "out.posemb_sincos_2d_dim"):
        table = sincos_2d((int(row.max()) + 1, int(column.max()) + 1), dim)
        assert_near(table[row * (int(column.max()) + 1) + column], golden[f"out.posemb_sincos_2d_dim{dim}"])


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("params_autoencoder*.json")), ids=lambda path: path.stem)
def test_names_and_shapes_of_the_released_autoencoder(path: Path) -> None:
    released = {name: tuple(shape) for name, shape in json.loads(path.read_text()).items()}
    size = re.fullmatch(r"params_autoencoder_vit([a-z]+).*", path.stem)
    assert size, f"{path.name} does not say its size, as params_autoencoder_vitb.json does"
    with torch.device("meta"):
        model = HierarchicalTokenizer(TokenizerConfig(**SIZES[size[1].upper()]))  # type: ignore[arg-type]
    assert {name: tuple(p.shape) for name, p in model.state_dict().items()} == released
