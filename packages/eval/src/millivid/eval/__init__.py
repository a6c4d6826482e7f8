"""Generated video against the truth: metrics, horizons, bounds, memory, and a report to look at."""

from .bounds import AfterContext, OtherVideos, ShuffledFrames, Transformed
from .errors import EvaluationError, MissingWeights
from .evaluate import evaluate, score_videos
from .horizons import PAPER_HORIZONS, Horizon, horizons_from
from .loop_closure import loop_closure
from .metrics import FrameMetric, LPIPSMetric, PSNRMetric, SSIMMetric
from .network_metrics import DINOv2Metric, FIDMetric, FVDMetric, SuperPointMatchesMetric, XFeatMatchesMetric
from .networks.lpips import LPIPS
from .psnr import psnr
from .registry import METRICS, PAPER_METRICS
from .reporting.report import check_report_folder, write_loops, write_report
from .results import Results
from .revisits import Revisits, last_seen
from .set_metrics import SetMetric
from .sources import open_videos
from .ssim import ssim
from .videos import VideosInMemory, VideoSource

__all__ = [
    "LPIPS", "METRICS", "PAPER_HORIZONS", "PAPER_METRICS", "AfterContext", "DINOv2Metric", "EvaluationError",
    "FIDMetric", "FVDMetric", "FrameMetric", "Horizon", "LPIPSMetric", "MissingWeights", "OtherVideos", "PSNRMetric",
    "Results", "Revisits", "SSIMMetric", "SetMetric", "ShuffledFrames", "SuperPointMatchesMetric", "Transformed",
    "VideoSource", "VideosInMemory", "XFeatMatchesMetric", "check_report_folder", "evaluate", "horizons_from",
    "last_seen", "loop_closure", "open_videos", "psnr", "score_videos", "ssim", "write_loops", "write_report",
]  # fmt: skip
