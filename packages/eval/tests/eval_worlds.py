"""Small synthetic videos for the tests: discs that move over a coloured ground."""

import numpy as np

from millivid.eval import VideosInMemory


def moving_discs(seed: int, frames: int = 24, height: int = 32, width: int = 32) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    video = np.empty((frames, height, width, 3), np.uint8)
    ground = rng.integers(40, 160, 3)
    discs = [(rng.uniform(0, 1, 2), rng.uniform(-0.04, 0.04, 2), rng.integers(0, 256, 3)) for _ in range(4)]
    for t in range(frames):
        video[t] = ground
        for place, speed, colour in discs:
            centre = (place + t * speed) % 1 * (width, height)
            video[t, (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < (height / 6) ** 2] = colour
    return video


def truth_and_run(count: int = 3, context: int = 8, **shape: int) -> tuple[VideosInMemory, VideosInMemory]:
    """The truth, and a run that holds the context and then fades to grey."""
    truth = {f"world_{i}": moving_discs(i, **shape) for i in range(count)}
    run = {}
    for id, video in truth.items():
        fade = np.clip(np.arange(len(video)) - context + 1, 0, 12).reshape(-1, 1, 1, 1) / 16
        run[id] = (video * (1 - fade) + 128 * fade).astype(np.uint8)
    return VideosInMemory(truth, fps=10), VideosInMemory(run, fps=10)
