"""Files: whole or not there, JSON that is what its schema says, and models in folders (`pretrained`, the extra `models`)."""

from .atomic import remove_leftovers, replacing, replacing_folder, write_json, write_text
from .json_reader import read_json, typed

__all__ = ["read_json", "remove_leftovers", "replacing", "replacing_folder", "typed", "write_json", "write_text"]
