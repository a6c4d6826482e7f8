"""The parameter names of the authors' released models, in our order of words."""

import re
from collections.abc import Mapping

from torch import Tensor

_RENAMED = (
    (r"^dit\.dit\.dit\.blocks\.", "blocks."),
    (r"^dit\.dit\.(time_embedding|level_embedding)\.", r"\1."),
    (r"^dit\.dit\.action_encoder\.action_embedding\.", "action_embedding."),
    (r"^dit\.patchify\.(\d+)\.", r"patchify.kernels.\1."),
    (r"^dit\.patchify\.", "patchify."),
    (r"^dit\.unpatchify\.", "head."),
)


def from_released_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A released video model's state dict under the names of `VideoDiT`; names it does not know stay as they are."""
    renamed = {}
    for name, tensor in state.items():
        for pattern, replacement in _RENAMED:
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    return renamed
