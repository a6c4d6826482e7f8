"""Generated video against the truth: metrics, horizons, bounds, and a report to look at."""

from .bounds import ShuffledFrames, Transformed
from .clips import ClipFolder
from .errors import EvaluationError, MissingWeights
from .evaluate import evaluate
from .horizons import PAPER_HORIZONS, Horizon, horizons_from
from .lpips import LPIPS
from .metrics import FrameMetric, LPIPSMetric, PSNRMetric, SSIMMetric
from .psnr import psnr
from .report import check_report_folder, write_report
from .results import Results, Scores
from .sources import open_videos
from .ssim import ssim
from .video_files import FolderOfVideos
from .videos import VideosInMemory, VideoSource

__all__ = [
    "LPIPS", "PAPER_HORIZONS", "ClipFolder", "EvaluationError", "FolderOfVideos", "FrameMetric", "Horizon",
    "LPIPSMetric", "MissingWeights", "PSNRMetric", "Results", "SSIMMetric", "Scores", "ShuffledFrames", "Transformed",
    "VideoSource", "VideosInMemory", "check_report_folder", "evaluate", "horizons_from", "open_videos", "psnr",
    "ssim", "write_report",
]  # fmt: skip
