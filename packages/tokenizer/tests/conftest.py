"""Checks the models' array annotations while the tests run."""

from jaxtyping import install_import_hook

install_import_hook(
    [f"millivid.tokenizer.{name}" for name in ("model", "objective", "pyramid", "transformer")], "beartype.beartype"
)
