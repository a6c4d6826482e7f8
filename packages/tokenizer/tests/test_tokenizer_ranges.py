"""Every range and shape that a docstring of the package documents is checked, in one sentence."""

import math
from collections.abc import Callable
from typing import Any

import jaxtyping
import pytest
import torch

from millivid.tokenizer import HierarchicalTokenizer, TokenizerConfig, image_pyramid, level_psnr, patchify, unpatchify


@pytest.fixture(autouse=True)
def as_for_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """Annotations are not checked, which tests else do before the functions themselves."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


MODEL = HierarchicalTokenizer(
    TokenizerConfig(
        image_size=(8, 8), patch_size=(2, 2), num_levels=2, latent_channels=3, width=16, depth=1, num_heads=2
    )
)
FRAMES = torch.rand(2, 3, 8, 8)
LATENTS = torch.zeros(2, 4, 4, 3)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (FRAMES * 255, r"frames hold values from .* to 25.*; the tokenizer takes \[0, 1\]: divide 0..255 by 255"),
        (FRAMES * 2 - 1, r"values from -.*map \[-1, 1\]"),
        (FRAMES.clamp(max=0.9) + 0.101, "clamp"),
        (FRAMES * math.nan, "values from nan to nan"),
        ((FRAMES * 255).byte(), r"frames are torch.uint8, but the tokenizer is torch.float32; .* / 255"),
        (FRAMES.double(), "frames are torch.float64"),
        (FRAMES.half(), "frames are torch.float16"),
        (FRAMES.movedim(1, -1), r"\(2, 8, 8, 3\) do not end in \(3, 8, 8\), \(channel, height, width\)"),
        (FRAMES[:, :1], "do not end in"),
        (FRAMES[0, 0], "do not end in"),
        (FRAMES.numpy(), "frames are a ndarray; expected a tensor"),
        (FRAMES.to("meta"), "frames are on meta, but the tokenizer on cpu"),
    ],
)
def test_frames_that_cannot_be(frames: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MODEL.encode(frames)


def test_rounding_is_no_error_and_training_takes_what_comes() -> None:
    MODEL.encode(FRAMES.clamp(max=0.9) + 0.1 + 1e-7)
    with torch.autocast("cpu", torch.bfloat16):
        MODEL.encode(FRAMES.bfloat16())
    MODEL.encode_patches(MODEL.patches(FRAMES * 3))


@pytest.mark.parametrize(
    ("pyramid", "level", "message"),
    [
        (LATENTS, 0, "the pyramid is a single tensor; give a tuple"),
        ((LATENTS,), True, "level True does not exist"),
        ((LATENTS,), 0.0, "level 0.0 does not exist"),
        ((LATENTS,), "0", "level 0 does not exist"),
        ((LATENTS,), 1, "level 1 does not exist"),
        ((LATENTS + math.nan,), 0, "latents hold NaN or infinity"),
        ((LATENTS / 0,), 0, "latents hold NaN or infinity"),
        ((LATENTS.double(),), 0, "latents are torch.float64"),
        ((LATENTS.numpy(),), 0, "latents are a ndarray"),
        ((LATENTS.movedim(-1, 1),), 0, r"do not end in \(4, 4, 3\), level 0"),
    ],
)
def test_latents_that_cannot_be(pyramid: Any, level: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MODEL.decode(pyramid, level)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: image_pyramid(torch.rand(1, 3, 6, 6), 3), "6x6 cannot be halved 2 times"),
        (lambda: patchify(torch.rand(1, 3, 6, 6), (4, 4)), r"\(6, 6\) is not a multiple of patch_size \(4, 4\)"),
        (lambda: unpatchify(torch.rand(1, 5, 12), (2, 2), (2, 2)), r"patches of shape \(1, 5, 12\).*grid \(2, 2\)"),
        (lambda: unpatchify(torch.rand(1, 4, 13), (2, 2), (2, 2)), "patch_size"),
        (lambda: level_psnr(MODEL, FRAMES, batch=0), "batch is 0"),
        (lambda: level_psnr(MODEL, FRAMES[:0]), "no frames"),
        (lambda: TokenizerConfig(width=384.0), "width is 384.0; expected int"),  # type: ignore[arg-type]
        (lambda: TokenizerConfig(depth=True), "depth is True; expected int"),
        (lambda: TokenizerConfig(image_size=(256, 256, 3)), "image_size is"),  # type: ignore[arg-type]
    ],
)
def test_arguments_that_cannot_be(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
