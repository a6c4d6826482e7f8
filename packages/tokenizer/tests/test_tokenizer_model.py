"""Geometry, shapes, what decoding reads, and the objective."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from millivid.tokenizer import (
    HierarchicalTokenizer,
    TokenizerConfig,
    image_pyramid,
    level_grids,
    level_psnr,
    patchify,
    tokenizer_loss,
    unpatchify,
)
from millivid.tokenizer.transformer import Attention

SMALL = {"latent_channels": 5, "width": 32, "depth": 1, "num_heads": 2}


def lively(config: TokenizerConfig) -> HierarchicalTokenizer:
    """A model whose every weight is random, so that nothing is zero by initialisation."""
    torch.manual_seed(0)
    model = HierarchicalTokenizer(config).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.normal_(std=0.2)
    return model


@pytest.fixture(params=["adaptive", "cascaded"])
def model(request: pytest.FixtureRequest) -> HierarchicalTokenizer:
    return lively(TokenizerConfig(image_size=(16, 48), patch_size=(2, 4), num_levels=3, variant=request.param, **SMALL))


def test_patchify_truth_table() -> None:
    image = torch.arange(8.0).reshape(1, 1, 2, 4)  # rows 0 1 2 3 / 4 5 6 7
    assert patchify(image, (2, 2)).tolist() == [[[0, 1, 4, 5], [2, 3, 6, 7]]]
    assert patchify(image, (1, 2)).tolist() == [[[0, 1], [2, 3], [4, 5], [6, 7]]]
    two = torch.cat([image, image + 10], dim=1)
    assert patchify(two, (2, 2))[0, 0].tolist() == [0, 1, 4, 5, 10, 11, 14, 15]


@pytest.mark.parametrize(("size", "patch"), [((8, 8), (2, 2)), ((6, 20), (3, 4)), ((5, 7), (5, 1)), ((4, 4), (4, 4))])
def test_unpatchify_inverts_patchify(size: tuple[int, int], patch: tuple[int, int]) -> None:
    image = torch.rand(3, 2, *size)
    assert torch.equal(unpatchify(patchify(image, patch), (size[0] // patch[0], size[1] // patch[1]), patch), image)


def test_image_pyramid_is_repeated_2x2_means() -> None:
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    fine, middle, coarse = image_pyramid(image, 3)
    assert torch.equal(fine, image)
    assert middle[0, 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert coarse.item() == 7.5


def test_level_grids_by_hand() -> None:
    assert level_grids((256, 256), (16, 16), 4) == ((16, 16), (8, 8), (4, 4), (2, 2))
    assert level_grids((32, 96), (4, 8), 3) == ((8, 12), (4, 6), (2, 3))


@pytest.mark.parametrize("batch", [(), (1,), (4,), (2, 3), (1, 2, 2)])
def test_shapes_with_any_leading_dimensions(model: HierarchicalTokenizer, batch: tuple[int, ...]) -> None:
    pyramid = model.encode(torch.rand(*batch, 3, 16, 48))
    assert [x.shape for x in pyramid] == [(*batch, 8, 12, 5), (*batch, 4, 6, 5), (*batch, 2, 3, 5)]
    assert all(x.abs().max() <= 1 for x in pyramid)
    for level in range(3):
        assert model.decode(pyramid, level).shape == (*batch, 3, 16, 48)


def test_frames_are_compressed_independently(model: HierarchicalTokenizer) -> None:
    frames = torch.rand(4, 3, 16, 48)
    together, alone = model.encode(frames), model.encode(frames[2])
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a[2], b, atol=1e-5, rtol=0)
    torch.testing.assert_close(model.decode(together, 1)[2], model.decode(alone, 1), atol=1e-4, rtol=0)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_decode_reads_only_its_level(model: HierarchicalTokenizer, level: int) -> None:
    pyramid = model.encode(torch.rand(2, 3, 16, 48))
    poisoned = [x if index == level else torch.full_like(x, torch.nan) for index, x in enumerate(pyramid)]
    assert torch.equal(model.decode(poisoned, level), model.decode(pyramid, level))
    changed = [x + 0.5 if index == level else x for index, x in enumerate(pyramid)]
    assert not torch.allclose(model.decode(changed, level), model.decode(pyramid, level))


def test_both_variants_encode_the_finest_level_alike() -> None:
    sizes = {"image_size": (16, 48), "patch_size": (2, 4), "num_levels": 3, **SMALL}
    adaptive, cascaded = (lively(TokenizerConfig(variant=name, **sizes)) for name in ("adaptive", "cascaded"))
    frames = torch.rand(2, 3, 16, 48)
    assert torch.equal(adaptive.encode(frames)[0], cascaded.encode(frames)[0])
    assert not torch.equal(adaptive.encode(frames)[1], cascaded.encode(frames)[1])


def test_cascaded_coarse_latents_are_2x2_means() -> None:
    model = lively(TokenizerConfig(image_size=(16, 48), patch_size=(2, 4), num_levels=3, variant="cascaded", **SMALL))
    pyramid = model.encode(torch.rand(2, 3, 16, 48))
    for fine, coarse in zip(pyramid, pyramid[1:], strict=False):
        means = (fine[:, ::2, ::2] + fine[:, 1::2, ::2] + fine[:, ::2, 1::2] + fine[:, 1::2, 1::2]) / 4
        torch.testing.assert_close(coarse, means, atol=1e-6, rtol=0)


def test_adaptive_coarse_latents_are_learned() -> None:
    model = lively(TokenizerConfig(image_size=(16, 48), patch_size=(2, 4), num_levels=2, **SMALL))
    fine, coarse = model.encode(torch.rand(1, 3, 16, 48))
    means = F.avg_pool2d(fine.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
    assert (coarse - means).abs().max() > 0.01


def test_smoothing_looks_beyond_a_patch() -> None:
    config = {"image_size": (16, 16), "patch_size": (4, 4), "num_levels": 2, **SMALL}
    plain, smooth = lively(TokenizerConfig(**config)), lively(TokenizerConfig(**config, smoothing=3))
    smooth.load_state_dict(plain.state_dict(), strict=False)
    frames = torch.rand(2, 3, 16, 16)
    pyramid, level = plain.encode(frames), torch.tensor([0, 1])
    for number in range(2):
        torch.testing.assert_close(smooth.decode(pyramid, number), smooth.smoothing(plain.decode(pyramid, number)))
    latents = plain.encode_patches(plain.patches(frames))
    parts = plain.decode_patches(latents, level).split((16, 4), dim=1)
    images = [
        smooth.smoothing(unpatchify(part, grid, (4, 4))) for part, grid in zip(parts, ((4, 4), (2, 2)), strict=True)
    ]
    expected = torch.cat([patchify(image, (4, 4)) for image in images], dim=1)
    torch.testing.assert_close(smooth.decode_patches(latents, level), expected)
    untrained = HierarchicalTokenizer(TokenizerConfig(**config, smoothing=3))
    assert torch.equal(untrained.decode(pyramid), torch.full((2, 3, 16, 16), 0.5))


def test_an_untrained_tokenizer_predicts_grey() -> None:
    model = HierarchicalTokenizer(TokenizerConfig(image_size=(8, 8), patch_size=(2, 2), num_levels=2, **SMALL))
    frames = torch.rand(2, 3, 8, 8)
    assert torch.equal(model.decode(model.encode(frames), 1), torch.full((2, 3, 8, 8), 0.5))


def test_loss_of_grey_on_white_by_hand() -> None:
    model = HierarchicalTokenizer(TokenizerConfig(image_size=(8, 8), patch_size=(2, 2), num_levels=2, **SMALL))
    loss, parts = tokenizer_loss(model, torch.ones(2, 3, 8, 8), torch.tensor([0, 0]))
    # 16 fine tokens of weight 1, 4 coarse ones of weight 4, squared error 1/4 everywhere
    assert loss.item() == pytest.approx((16 * 1 + 4 * 4) / 20 * 0.25)
    assert parts["psnr_level_0"].item() == pytest.approx(10 * math.log10(4))
    assert "psnr_level_1" not in parts
    total, _ = tokenizer_loss(
        model, torch.ones(2, 3, 8, 8), torch.tensor([0, 1]), perceptual=lambda a, b: (b - a).mean((1, 2, 3))
    )
    assert total.item() == pytest.approx(loss.item() + 0.05 * 0.5)


def test_noise_on_latents_is_in_their_standard_deviations() -> None:
    torch.manual_seed(0)
    model = HierarchicalTokenizer(TokenizerConfig(image_size=(8, 8), patch_size=(2, 2), num_levels=2, **SMALL))
    torch.nn.init.normal_(model.decoder.unpatchify.weight)
    frames, level = torch.rand(3, 3, 8, 8), torch.tensor([0, 1, 0])
    latents = model.encode_patches(model.patches(frames)).detach()
    fine, coarse = (part.flatten(0, 1).std(0, correction=0) for part in latents.split((16, 4), dim=1))
    noise = torch.randn_like(latents)
    noisy = latents + noise * torch.cat([fine.expand(16, -1), coarse.expand(4, -1)])
    target = model.patches(frames)
    squared = (target - model.decode_patches(noisy, level)).square()
    expected = (squared * torch.tensor([1.0] * 16 + [4.0] * 4).unsqueeze(1)).mean()
    loss, _ = tokenizer_loss(model, frames, level, noise=noise)
    torch.testing.assert_close(loss, expected)
    assert not torch.allclose(loss, tokenizer_loss(model, frames, level)[0], rtol=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": (250, 256)}, r"\(250, 256\) is not a multiple of patch_size \(16, 16\); \(256, 256\) is"),
        ({"num_levels": 6}, "16x16 cannot be halved 5 times for 6 levels; use at most 5 levels"),
        ({"image_size": (96, 64), "num_levels": 3}, r"6x4 .* use at most 2 levels .* multiple of \(64, 64\)"),
        ({"num_levels": 0}, "must all be at least 1"),
        ({"width": 100, "num_heads": 12}, "width 100 must be a multiple of 4 and of its num_heads 12; 96 is"),
        ({"decoder_width": 30, "decoder_num_heads": 3}, "decoder's width 30"),
        ({"latent_channels": 0}, "latent_channels is 0"),
        ({"depth": 0}, "encoder's depth 0"),
        ({"variant": "other"}, "variant 'other' is unknown; use 'adaptive' or 'cascaded'"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TokenizerConfig(**settings)


def test_frames_and_latents_of_another_size_are_refused(model: HierarchicalTokenizer) -> None:
    with pytest.raises(ValueError, match=r"\(2, 3, 16, 16\) do not end in \(3, 16, 48\)"):
        model.encode(torch.rand(2, 3, 16, 16))
    pyramid = model.encode(torch.rand(3, 16, 48))
    for level in (-1, 3):
        with pytest.raises(ValueError, match=f"level {level} does not exist; this tokenizer has levels 0 to 2"):
            model.decode(pyramid, level)
    with pytest.raises(ValueError, match=r"do not end in \(4, 6, 5\), level 1"):
        model.decode((pyramid[0], pyramid[2]), 1)


def test_level_psnr_is_that_of_the_mean_squared_error(model: HierarchicalTokenizer) -> None:
    frames = torch.rand(5, 3, *model.config.image_size)
    pyramid = model.encode(frames)
    expected = [-10 * math.log10((model.decode(pyramid, k).clamp(0, 1) - frames).square().mean()) for k in range(3)]
    assert level_psnr(model, frames, batch=2) == pytest.approx(expected, rel=1e-5)


def test_attention_that_is_trained_on_a_cpu_is_computed_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    attention, attend, seen = Attention(16, 2), F.scaled_dot_product_attention, []
    x = torch.randn(2, 5, 16)

    def look(*inputs: Tensor) -> Tensor:
        seen.append(attend(*inputs))  # of which autocast decides the type
        return seen[-1]

    monkeypatch.setattr(F, "scaled_dot_product_attention", look)
    with torch.autocast("cpu", torch.bfloat16):
        trained = attention(x)
        with torch.no_grad():
            attention(x)
    assert [out.dtype for out in seen] == [torch.float32, torch.bfloat16]
    torch.testing.assert_close(trained.float(), attention(x), atol=0.02, rtol=0.02)
    trained.sum().backward()
    assert attention.qkv.weight.grad is not None and attention.qkv.weight.grad.isfinite().all()
