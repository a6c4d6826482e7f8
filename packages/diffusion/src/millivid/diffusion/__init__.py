"""One level-conditioned diffusion transformer over every level of a video's latents, and its sampler."""

from millivid.diffusion.config import SIZES, VideoDiTConfig
from millivid.diffusion.live import LiveLatents
from millivid.diffusion.model import VideoDiT
from millivid.diffusion.model_info import VideoModelInfo
from millivid.diffusion.noise import alpha_sigma, logsnr
from millivid.diffusion.objective import Draws, diffusion_loss, draw
from millivid.diffusion.rollout_noise import FrameNoise, Noise, SeededNoise
from millivid.diffusion.sample_step import SamplerConfig, denoise, sample_step, sample_targets
from millivid.diffusion.sampler import RolloutProgress, rollout
from millivid.diffusion.solvers import DDIM, SOLVERS, DPMSolverPP2M, Predict, Solver, UniPC, make_solver
from millivid.diffusion.streaming import LatentStream
from millivid.diffusion.tokens import TokenBatch, stack_tokens
from millivid.files.pretrained import fingerprint

__all__ = [
    "DDIM", "SIZES", "SOLVERS", "DPMSolverPP2M", "Draws", "FrameNoise", "LatentStream", "LiveLatents", "Noise", "Predict",
    "RolloutProgress", "SamplerConfig", "SeededNoise", "Solver", "TokenBatch", "UniPC", "VideoDiT", "VideoDiTConfig",
    "VideoModelInfo", "alpha_sigma", "denoise", "diffusion_loss", "draw", "fingerprint", "logsnr", "make_solver",
    "rollout", "sample_step", "sample_targets", "stack_tokens",
]  # fmt: skip
