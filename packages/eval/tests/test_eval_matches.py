"""Matchers find a picture again in itself and in its shift, nothing in another picture, and nothing in a flat one."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from millivid.eval import EvaluationError, MissingWeights
from millivid.eval.networks import matchers
from millivid.eval.networks.matchers import SIFTMatcher, SuperPointMatcher


def blots(seed: int, size: int = 128) -> Tensor:
    """A picture of soft coloured blots with edges and corners, (3, size, size)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, size // 8, size // 8, generator=generator)
    fine = torch.rand(1, 3, size // 2, size // 2, generator=generator)
    large = functional.interpolate(coarse, (size, size), mode="nearest")
    return (0.8 * large + 0.2 * functional.interpolate(fine, (size, size), mode="bilinear"))[0]


def test_what_is_found_again() -> None:
    pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    match = SIFTMatcher()
    picture, other = blots(0, 160), blots(1, 160)
    same = match(picture, picture)
    shifted = match(picture[:, 32:, :128], picture[:, :-32, 32:])
    assert same > 50
    assert same > shifted > 0.2 * same
    assert match(picture, other) < 0.05 * same


def test_a_flat_frame_has_no_matches() -> None:
    pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    match = SIFTMatcher()
    picture, flat = blots(0), torch.full((3, 128, 128), 0.3)
    assert match(flat, picture) == match(picture, flat) == match(flat, flat) == 0
    # Nor has one that is nearly flat, where there is nothing to hold on to.
    almost = flat.clone()
    almost[:, 64:] += 1 / 255
    assert match(almost, picture) == 0
    smallest = picture[:, : match.min_size, : match.min_size]
    assert match(smallest, smallest) >= 0


def test_every_point_of_a_picture_matches_itself_by_sift() -> None:
    cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    picture = blots(2)
    grey = (0.299 * picture[0] + 0.587 * picture[1] + 0.114 * picture[2]).mul(255).round().byte().numpy()
    points = len(cv2.SIFT_create().detect(grey, None))
    assert 0.8 * points <= SIFTMatcher()(picture, picture) <= points


def test_sift_agrees_with_opencvs_matcher() -> None:
    cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    a, b = blots(3)[:, 4:, :120], blots(3)[:, :-4, 8:]
    match = SIFTMatcher()
    one, two = (match._descriptors(frame).astype("float32") for frame in (a, b))

    def passing(first: object, second: object) -> set[tuple[int, int]]:
        pairs = cv2.BFMatcher().knnMatch(first, second, k=2)
        return {(near.queryIdx, near.trainIdx) for near, far in pairs if near.distance < 0.75 * far.distance}

    expected = passing(one, two) & {(i, j) for j, i in passing(two, one)}
    assert match(a, b) == len(expected) > 20


def _superpoint_state() -> dict[str, Tensor]:
    """Random tensors under the names of the official file."""
    generator = torch.Generator().manual_seed(0)
    shapes = {
        "conv1a": (64, 1, 3), "conv1b": (64, 64, 3), "conv2a": (64, 64, 3), "conv2b": (64, 64, 3),
        "conv3a": (128, 64, 3), "conv3b": (128, 128, 3), "conv4a": (128, 128, 3), "conv4b": (128, 128, 3),
        "convPa": (256, 128, 3), "convPb": (65, 256, 1), "convDa": (256, 128, 3), "convDb": (256, 256, 1),
    }  # fmt: skip
    state = {}
    for name, (outputs, inputs, size) in shapes.items():
        weight = torch.randn(outputs, inputs, size, size, generator=generator)
        state[f"{name}.weight"] = weight * (2 / (inputs * size * size)) ** 0.5
        state[f"{name}.bias"] = torch.randn(outputs, generator=generator) * 0.1
    return state


def test_superpoint_is_the_official_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    feature = pytest.importorskip("kornia.feature", reason="kornia is not installed")
    state = _superpoint_state()
    modern = feature.LightGlue(None).state_dict()
    old_names = {
        (
            f"{key.split('.')[2]}.{key.split('.')[1]}." + ".".join(key.split(".")[3:]) if "transformers" in key else key
        ): value
        for key, value in modern.items()
    }
    monkeypatch.setenv("MILLIVID_WEIGHTS", str(tmp_path))
    for constant, content in (("SUPERPOINT", state), ("LIGHTGLUE", old_names)):
        path = tmp_path / getattr(matchers, constant).file
        torch.save(content, path)
        digest = sha256(path.read_bytes()).hexdigest()
        monkeypatch.setattr(matchers, constant, replace(getattr(matchers, constant), sha256=digest))
    match = SuperPointMatcher()
    assert match.weights_sha256 is not None and len(match.weights_sha256.split(" + ")) == 2
    for key, value in match.lightglue.state_dict().items():
        torch.testing.assert_close(value, modern[key])

    # The layers by hand, from the official names: scores of pixels, and where they peak.
    picture = blots(4, 64)
    x = (0.299 * picture[0] + 0.587 * picture[1] + 0.114 * picture[2])[None, None]
    for name in ("1a", "1b", "2a", "2b", "3a", "3b", "4a", "4b"):
        x = functional.relu(functional.conv2d(x, state[f"conv{name}.weight"], state[f"conv{name}.bias"], padding=1))
        x = functional.max_pool2d(x, 2) if name in ("1b", "2b", "3b") else x
    heads = []
    for head in "PD":
        y = functional.relu(functional.conv2d(x, state[f"conv{head}a.weight"], state[f"conv{head}a.bias"], padding=1))
        heads.append(functional.conv2d(y, state[f"conv{head}b.weight"], state[f"conv{head}b.bias"]))
    scores = functional.pixel_shuffle(heads[0].softmax(1)[:, :64], 8)[0, 0]
    places, descriptors = match.points(picture)
    assert len(places) > 4 and descriptors.shape == (len(places), 256)
    # A point is the highest of its surroundings, but for points beside points that were suppressed.
    peaks = functional.max_pool2d(scores[None, None], 9, 1, 4)[0, 0]
    xs, ys = places.long().T
    assert (scores[ys, xs] > 0.0005).all()
    assert (scores[ys, xs] == peaks[ys, xs]).float().mean() > 0.5
    torch.testing.assert_close(descriptors.norm(dim=1), torch.ones(len(places)))
    # The middle of a cell of 8x8 pixels is at the descriptor that was computed for it.
    coarse = functional.normalize(heads[1], dim=1)
    sampled = match.superpoint.descriptor_decoder(
        match.superpoint.encoder(matchers._grey(picture)[None, None])[0], torch.tensor([[[19.5, 27.5]]])
    )
    assert functional.cosine_similarity(sampled[0], coarse[0, :, 3, 2], dim=0) > 0.9
    assert match(picture, torch.zeros(3, 64, 64)) == 0
    assert isinstance(match(picture, picture), int)


def test_a_library_that_names_tensors_otherwise_is_told() -> None:
    pytest.importorskip("kornia", reason="kornia is not installed")
    with pytest.raises(EvaluationError, match="does not take LightGlue's tensors"):
        matchers.build_lightglue({"unknown": torch.zeros(1)})


def test_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for matcher, library in ((SIFTMatcher, "cv2"), (SuperPointMatcher, "transformers")):
        with pytest.raises(MissingWeights, match=f"{library} is not installed: .*pip install"):
            matcher()
