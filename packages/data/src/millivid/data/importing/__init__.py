"""From elsewhere into datasets of ours: anyone's videos, and the paper's release."""

from .import_report import ImportReport
from .import_settings import ImportSettings
from .import_videos import import_videos

__all__ = ["ImportReport", "ImportSettings", "import_videos"]
