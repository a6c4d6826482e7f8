"""What a video model of variable-level tokens spends its memory traffic on: packing, and a block's norms and gates."""

from millivid.kernels.modulation import gated_residual, modulated_layer_norm
from millivid.kernels.packing import pack_tokens, unpack_tokens_
from millivid.kernels.reference import rows_of

# Last: the operations must be defined before a library adds implementations to them.
from millivid.kernels.loading import status  # isort: skip

__all__ = ["gated_residual", "modulated_layer_norm", "pack_tokens", "rows_of", "status", "unpack_tokens_"]
