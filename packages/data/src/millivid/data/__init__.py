"""Clips and latents on disk: reading, writing, splits."""

from .clip import POSE_NAMES, Clip
from .clips import ClipDataset, ClipIndex, ClipWriter
from .errors import DatasetError
from .export import export_webdataset
from .images import encode_image
from .import_released import import_released_clips, import_released_latents, released_splits
from .latent_statistics import LatentStatistics, measure_statistics
from .latent_writer import LatentWriter
from .latents import LatentDataset, LatentIndex
from .processes import work_in_processes
from .released import RELEASED_COLUMNS, PyramidFile, read_frames_file
from .verification import Verification
from .video import VideoInfo, probe_video, read_video, write_video

__all__ = [
    "POSE_NAMES",
    "RELEASED_COLUMNS",
    "Clip",
    "ClipDataset",
    "ClipIndex",
    "ClipWriter",
    "DatasetError",
    "LatentDataset",
    "LatentIndex",
    "LatentStatistics",
    "LatentWriter",
    "PyramidFile",
    "Verification",
    "VideoInfo",
    "encode_image",
    "export_webdataset",
    "import_released_clips",
    "import_released_latents",
    "measure_statistics",
    "probe_video",
    "read_frames_file",
    "read_video",
    "released_splits",
    "work_in_processes",
    "write_video",
]
