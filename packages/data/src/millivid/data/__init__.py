"""Clips and latents on disk: reading, writing, splits, importing, inspecting, exporting."""

from .clip import POSE_NAMES, ActionType, Clip
from .clip_writer import ClipWriter
from .clips import ClipDataset, ClipIndex
from .errors import DatasetError
from .export import encode_image, export_webdataset
from .importing.import_report import ImportReport
from .importing.import_settings import ImportSettings
from .importing.import_videos import import_videos
from .importing.released import import_released_clips, import_released_latents, released_splits
from .importing.released_files import RELEASED_COLUMNS, PyramidFile, read_frames_file
from .index_file import dataset_format
from .inspection import Inspection, inspect_clips, inspection_text, write_inspection
from .latent_statistics import LatentStatistics
from .latent_writer import LatentWriter
from .latents import LatentDataset, LatentIndex
from .verification import Verification
from .video import VideoInfo, probe_video, read_video, write_video
from .video_reader import VideoReader

__all__ = [
    "POSE_NAMES", "RELEASED_COLUMNS", "ActionType", "Clip", "ClipDataset", "ClipIndex", "ClipWriter", "DatasetError",
    "ImportReport", "ImportSettings", "Inspection", "LatentDataset", "LatentIndex", "LatentStatistics", "LatentWriter",
    "PyramidFile", "Verification", "VideoInfo", "VideoReader", "dataset_format", "encode_image", "export_webdataset",
    "import_released_clips", "import_released_latents", "import_videos", "inspect_clips", "inspection_text",
    "probe_video", "read_frames_file", "read_video", "released_splits", "write_inspection", "write_video",
]  # fmt: skip
