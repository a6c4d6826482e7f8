"""What is in a clip dataset, and what of it would spoil training: as numbers, as text and as a page."""

from .inspection import Flag, Inspection, inspect_clips, inspection_text, write_inspection

__all__ = ["Flag", "Inspection", "inspect_clips", "inspection_text", "write_inspection"]
