"""What is in a clip dataset, and what of it would spoil training: as numbers, as text and as a page."""

from .findings import Flag, Inspection
from .measure import inspect_clips
from .page import write_inspection
from .text import inspection_text

__all__ = ["Flag", "Inspection", "inspect_clips", "inspection_text", "write_inspection"]
