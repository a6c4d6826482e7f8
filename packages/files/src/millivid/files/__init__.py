"""Files whole or not there, folders for one command at a time, JSON by its type, and models (`pretrained`, extra `models`)."""

from .atomic import names_in, remove_leftovers, replacing, replacing_folder, write_json, write_text
from .json_reader import read_json, typed
from .lock import FolderInUseError, locked

__all__ = [
    "FolderInUseError", "locked", "names_in", "read_json", "remove_leftovers", "replacing", "replacing_folder", "typed",
    "write_json", "write_text",
]  # fmt: skip
