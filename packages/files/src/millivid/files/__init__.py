"""Files whole or not there, folders for one command at a time, JSON by its type, and models (`pretrained`, extra `models`)."""

from .atomic import (
    file_hash,
    names_in,
    open_file,
    remove_leftovers,
    replacing,
    replacing_folder,
    write_json,
    write_text,
)
from .json_reader import read_json, typed
from .lock import FolderInUseError, locked

__all__ = [
    "FolderInUseError", "file_hash", "locked", "names_in", "open_file", "read_json", "remove_leftovers", "replacing",
    "replacing_folder", "typed", "write_json", "write_text",
]  # fmt: skip
