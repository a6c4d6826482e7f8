"""Generated video against the truth: metrics, horizons, bounds, memory, and a report to look at."""

from .bounds import AfterContext, OtherVideos, ShuffledFrames, Transformed
from .clips import ClipFolder
from .errors import EvaluationError, MissingWeights
from .evaluate import evaluate
from .figures import Figure
from .horizons import PAPER_HORIZONS, Horizon, horizons_from
from .memory import Memory, Surfaces
from .metrics import FrameMetric, LPIPSMetric, Metric, PSNRMetric, SSIMMetric
from .network_metrics import DINOv2Metric, FIDMetric, FVDMetric, MatchesMetric
from .networks.lpips import LPIPS
from .psnr import psnr
from .registry import METRICS, PAPER_METRICS
from .report import check_report_folder, write_loops, write_report
from .results import Results, Scores
from .revisits import Revisits, last_seen
from .set_metrics import SetMetric
from .sets import SetFigure, frechet_distance
from .sources import open_videos
from .ssim import ssim
from .video_files import FolderOfVideos
from .videos import VideosInMemory, VideoSource

__all__ = [
    "LPIPS", "METRICS", "PAPER_HORIZONS", "PAPER_METRICS", "AfterContext", "ClipFolder", "DINOv2Metric",
    "EvaluationError", "FIDMetric", "FVDMetric", "Figure", "FolderOfVideos", "FrameMetric", "Horizon", "LPIPSMetric",
    "MatchesMetric", "Memory", "Metric", "MissingWeights", "OtherVideos", "PSNRMetric", "Results", "Revisits",
    "SSIMMetric", "Scores", "SetFigure", "SetMetric", "ShuffledFrames", "Surfaces", "Transformed", "VideoSource",
    "VideosInMemory", "check_report_folder", "evaluate", "frechet_distance", "horizons_from", "last_seen",
    "open_videos", "psnr", "ssim", "write_loops", "write_report",
]  # fmt: skip
