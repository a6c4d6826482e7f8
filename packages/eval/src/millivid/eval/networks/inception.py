"""Inception features of FID, frames prepared as clean-fid does (Parmar, Zhang, Zhu 2022)."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..frames import check_frames
from .weights import Pretrained, WeightsFile, locate, require_library

WEIGHTS = WeightsFile(
    name="Inception v3 of FID, as TorchScript",
    file="inception-2015-12-05.pt",
    sha256="f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
    url="https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
)
SIZE = 299
CHUNK = 32  # frames at a time: the resized ones take 1 MB each


def resize_clean(frames: Float[Tensor, "frame 3 height width"]) -> Float[Tensor, "frame 3 299 299"]:
    """Frames in [0, 1] as clean-fid resizes them, in [0, 255]: rounded to uint8 first, then each channel as float by
    Pillow's bicubic filter (it widens when it shrinks, so nothing aliases), and clipped.
    """
    from PIL import Image

    values = (frames * 255).round().clamp(0, 255).cpu().numpy().astype(np.float32)
    resized = [
        np.asarray(Image.fromarray(channel).resize((SIZE, SIZE), resample=Image.Resampling.BICUBIC))
        for channel in values.reshape(-1, *values.shape[2:])
    ]
    return torch.from_numpy(np.stack(resized)).view(len(frames), 3, SIZE, SIZE).clamp(0, 255)


class InceptionFeatures(Pretrained):
    """The 2048 features before the classifier, of frames in [0, 1].

    `network`: something whose `layers` takes (frame, 3, 299, 299) in [-1, 1) and gives features; None loads the
    TorchScript file that clean-fid uses. Needs Pillow. Raises MissingWeights without the file or Pillow, EvaluationError for
    another file or frames that are not floats in [0, 1] (frame, 3, height, width).
    """

    def __init__(self, network: nn.Module | None = None) -> None:
        super().__init__()
        require_library("PIL", "FID resizes frames with it: pip install pillow")
        if network is None:
            network = torch.jit.load(locate(WEIGHTS), map_location="cpu")
            self.freeze(WEIGHTS)
        self.network: Any = network.eval()

    @torch.no_grad()
    def forward(self, frames: Float[Tensor, "frame 3 height width"]) -> Float[Tensor, "frame dim"]:
        check_frames(frames, "Inception", rgb=True)
        features = []
        for chunk in frames.split(CHUNK):
            x = (resize_clean(chunk).to(frames.device) - 128) / 128
            features.append(self.network.layers(x).flatten(1))
        return torch.cat(features)
