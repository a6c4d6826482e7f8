"""Checks the models' array annotations while the tests run."""

from jaxtyping import install_import_hook

MODULES = (
    "actions",
    "embedding",
    "model",
    "odometry",
    "noise",
    "objective",
    "tokens",
    "transformer",
)
install_import_hook([f"millivid.diffusion.{name}" for name in MODULES], "beartype.beartype")
