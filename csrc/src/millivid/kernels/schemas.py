"""The signatures of all operations, which the compiled libraries have to match. `setup.py` reads them too."""

import hashlib

COLUMNS = "Tensor level, Tensor frame, Tensor row, Tensor column"
SCHEMAS = {
    "pack_tokens": f"(Tensor[] stores, {COLUMNS}) -> Tensor",
    "unpack_tokens_": f"(Tensor(a!)[] stores, Tensor tokens, {COLUMNS}, Tensor write) -> ()",
    "modulated_layer_norm": "(Tensor x, Tensor shift, Tensor scale, Tensor row, float eps) -> Tensor",
    "modulated_layer_norm_backward": "(Tensor g, Tensor x, Tensor scale, Tensor row, float eps) "
    "-> (Tensor, Tensor, Tensor)",
    "gated_residual": "(Tensor x, Tensor y, Tensor gate, Tensor row) -> Tensor",
    "gated_residual_backward": "(Tensor g, Tensor y, Tensor gate, Tensor row) -> (Tensor, Tensor)",
}

DIGEST = hashlib.sha256(repr(sorted(SCHEMAS.items())).encode()).hexdigest()[:16]
"""Written beside the libraries when they are built, and compared before one is loaded."""
