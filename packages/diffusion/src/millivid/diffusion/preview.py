"""A picture of a video model in training: a short rollout below the true frames."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from millivid.data import LatentDataset
from millivid.diffusion.model import VideoDiT
from millivid.diffusion.rollout_noise import Noise
from millivid.diffusion.sample_step import SamplerConfig
from millivid.diffusion.sampler import rollout
from millivid.rollout import Schedule, plan

FRAMES, SHOWN, STEPS = 16, 8, 6


@torch.no_grad()
def draw_rollout(
    model: VideoDiT, dataset: LatentDataset, schedule: Schedule, decoder: Any, shift: float = 1.0
) -> Float[Tensor, "3 h w"] | None:
    """Frames of a video above those that the model makes of its context and actions, from left to right.

    The video is the first test video that is long enough, or the first such training video.
    decoder: an object whose `decode` turns a pyramid of latents (1, frame, height, width, channel) into frames in [0, 1].
    Runs on the model's device. None where no video is long enough.
    """
    tokens_per_level, device = model.config.tokens_per_level, next(model.parameters()).device
    start = schedule.chunk(tokens_per_level).num_context_frames
    planned = plan(schedule, tokens_per_level, start, start + FRAMES)
    ids = [*dataset.index.splits.get("test", ()), *dataset.index.splits.get("train", ())]
    id = next((id for id in ids if dataset.num_frames(id) >= start + FRAMES), None)
    if id is None:
        return None
    kept = min(planned.buffer_end, dataset.num_frames(id))
    true, stores = [], []
    for level in range(planned.chunk.num_levels):
        latents = torch.from_numpy(dataset.read(id, level, 0, kept)).to(device, torch.float32).unsqueeze(0)
        store = latents.new_zeros(1, planned.buffer_end, *latents.shape[2:])
        store[:, :start] = latents[:, :start]
        true.append(latents)
        stores.append(store)
    known = torch.from_numpy(dataset.actions(id, 0, kept)).to(device)
    actions = known.new_zeros(1, planned.buffer_end, *known.shape[1:])
    actions[0, :kept] = known
    sampler = SamplerConfig(steps=STEPS, shift=shift)
    noise = Noise(torch.Generator(device).manual_seed(0))
    for progress in rollout(model, stores, planned, actions, sampler, noise):
        if progress.finished[1] >= start + FRAMES:
            break
    shown = torch.linspace(start, start + FRAMES - 1, SHOWN).long()
    rows = [decoder.decode(tuple(level[:, shown] for level in levels))[0].float() for levels in (true, stores)]
    return torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
