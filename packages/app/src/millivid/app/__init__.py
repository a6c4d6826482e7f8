"""The millivid command, and the whole system in one object."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millivid.app.pipeline import VideoPipeline

__all__ = ["VideoPipeline"]


def __getattr__(name: str) -> Any:
    """Import on first use: the command must be able to answer Ctrl-C before torch is there."""
    if name == "VideoPipeline":
        from millivid.app.pipeline import VideoPipeline

        return VideoPipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
