"""What a video model of variable-level tokens spends its memory traffic on: packing, and a block's norms and gates."""

from millivid.kernels.modulation import gated_residual, modulated_layer_norm, rms_norm
from millivid.kernels.packing import pack_tokens, unpack_tokens_
from millivid.kernels.reference import rows_of

__all__ = ["gated_residual", "modulated_layer_norm", "pack_tokens", "rms_norm", "rows_of", "unpack_tokens_"]
