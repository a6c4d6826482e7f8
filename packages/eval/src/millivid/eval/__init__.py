"""Generated video against the truth: metrics, horizons, bounds, memory, and a report to look at."""

from .bounds import AfterContext, OtherVideos, ShuffledFrames, Transformed
from .errors import EvaluationError, MissingWeights
from .evaluate import evaluate, summarise
from .evaluation import Evaluation
from .horizons import PAPER_HORIZONS, Horizon, horizons_from
from .loop_closure import loop_closure
from .metrics import (
    METRICS,
    PAPER_METRICS,
    DINOv2Metric,
    FIDMetric,
    FrameMetric,
    FVDMetric,
    LPIPSMetric,
    PSNRMetric,
    SetMetric,
    SSIMMetric,
    SuperPointMatchesMetric,
)
from .networks.lpips import LPIPS
from .pixels import psnr, ssim
from .reporting.report import check_report_folder, write_report
from .results import Results, read_results
from .revisits import Revisits, last_seen
from .score import score, score_video
from .sources import open_videos
from .videos import VideosInMemory, VideoSource

__all__ = [
    "LPIPS", "METRICS", "PAPER_HORIZONS", "PAPER_METRICS", "AfterContext", "DINOv2Metric", "Evaluation",
    "EvaluationError", "FIDMetric", "FVDMetric", "FrameMetric", "Horizon", "LPIPSMetric", "MissingWeights",
    "OtherVideos", "PSNRMetric", "Results", "Revisits", "SSIMMetric", "SetMetric", "ShuffledFrames",
    "SuperPointMatchesMetric", "Transformed", "VideoSource", "VideosInMemory", "check_report_folder",
    "evaluate", "horizons_from", "last_seen", "loop_closure", "open_videos", "psnr", "read_results", "score",
    "score_video", "ssim", "summarise", "write_report",
]  # fmt: skip
