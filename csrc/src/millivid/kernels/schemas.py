"""The signatures of all operations, which the compiled libraries have to match."""

import hashlib

SCHEMAS = {
    "pack_tokens": "(Tensor[] stores, Tensor level, Tensor frame, Tensor row, Tensor column, Tensor? noise, "
    "Tensor? alpha, Tensor? sigma) -> Tensor",
    "pack_tokens_backward": "(Tensor g, Tensor level, Tensor frame, Tensor row, Tensor column, int[] sizes) -> Tensor[]",
    "unpack_tokens_": "(Tensor(a!)[] stores, Tensor tokens, Tensor level, Tensor frame, Tensor row, Tensor column, "
    "Tensor write, Tensor? velocity, Tensor? alpha, Tensor? sigma) -> ()",
    "modulated_layer_norm": "(Tensor x, Tensor shift, Tensor scale, Tensor row, float eps) -> (Tensor, Tensor, Tensor)",
    "modulated_layer_norm_backward": "(Tensor g, Tensor x, Tensor scale, Tensor row, Tensor mean, Tensor rstd) "
    "-> (Tensor, Tensor, Tensor)",
    "gated_residual": "(Tensor x, Tensor y, Tensor gate, Tensor row) -> Tensor",
    "gated_residual_backward": "(Tensor g, Tensor y, Tensor gate, Tensor row) -> (Tensor, Tensor)",
    "rms_norm": "(Tensor x, Tensor weight, float eps) -> (Tensor, Tensor)",
    "rms_norm_backward": "(Tensor g, Tensor x, Tensor weight, Tensor rstd) -> (Tensor, Tensor)",
}

DIGEST = hashlib.sha256(repr(sorted(SCHEMAS.items())).encode()).hexdigest()[:16]
"""Compiled into _build, beside the libraries, and compared before one is loaded."""
