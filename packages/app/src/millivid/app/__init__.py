"""The millivid command, and the whole system in one object."""

from millivid.app.pipeline import VideoPipeline

__all__ = ["VideoPipeline"]
