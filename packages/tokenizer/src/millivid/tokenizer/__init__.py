"""A per-frame hierarchical tokenizer: one image, a pyramid of latents, and back from any level."""

from millivid.files.pretrained import fingerprint
from millivid.tokenizer.config import SIZES, TokenizerConfig
from millivid.tokenizer.model import HierarchicalTokenizer, Pyramid
from millivid.tokenizer.objective import level_psnr, tokenizer_loss
from millivid.tokenizer.pyramid import image_pyramid, level_grids, patchify, unpatchify

__all__ = [
    "SIZES",
    "HierarchicalTokenizer",
    "Pyramid",
    "TokenizerConfig",
    "fingerprint",
    "image_pyramid",
    "level_grids",
    "level_psnr",
    "patchify",
    "tokenizer_loss",
    "unpatchify",
]
