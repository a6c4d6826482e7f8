"""MilliVid where there is no Python: ONNX graphs, a reference host for them, and a web page that needs no server."""

import importlib
from typing import Any

__all__ = ["Player", "export_onnx", "export_web"]


_FROM = {"Player": ("player", "onnx"), "export_onnx": ("to_onnx", "onnx"), "export_web": ("site", "web")}


def __getattr__(name: str) -> Any:
    """Load what is asked for alone: a host needs no torch. Raises ImportError, naming the extra, where a library is missing."""
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, extra = _FROM[name]
    try:
        return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    except ModuleNotFoundError as error:
        raise ImportError(f"{name} needs {error.name}, which is not installed; pip install '.[{extra}]'") from error
