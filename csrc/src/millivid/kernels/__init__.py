"""Packing variable-level tokens into one fixed-size sequence and scattering results back."""

from millivid.kernels.packing import pack_tokens, unpack_tokens_

__all__ = ["pack_tokens", "unpack_tokens_"]
