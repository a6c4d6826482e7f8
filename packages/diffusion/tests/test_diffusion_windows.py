"""Training examples: the tokens of the drawn step, of every schedule, as the whole window has them, and nothing else read."""

import numpy as np
import pytest
import torch

pytest.importorskip("millivid.data", reason="examples are read in the extra [train]")

from millivid.data import LatentDataset, LatentWriter
from millivid.diffusion import VideoDiT, VideoDiTConfig, stack_tokens
from millivid.diffusion.windows import WindowExamples, long_enough
from millivid.kernels import pack_tokens
from millivid.rollout import Chunk, make_schedule

GRIDS, CHANNELS = ((4, 4), (2, 2), (1, 1)), 5
FRAMES = {"short": 20, "one": 80, "two": 150, "three": 260}
SCHEDULES = [
    {"name": "millivid", "windows": (2, 8, 32), "history": 32},
    {"name": "full_resolution"},
    {"name": "framepack", "num_targets": 2, "context": (2, 4, 8)},
    {"name": "rollout_upscale", "base": 8, "num_levels": 2},
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> LatentDataset:
    folder = tmp_path_factory.mktemp("latents")
    names, random = ["forward", "left", "right"], np.random.default_rng(0)
    writer = LatentWriter(
        folder, fps=20, action_names=names, grids=GRIDS, channels=CHANNELS, tokenizer={"fingerprint": "none"}
    )
    for id, frames in FRAMES.items():
        levels = [random.standard_normal((frames, *grid, CHANNELS)).astype(np.float32) for grid in GRIDS]
        writer.write(id, levels, random.integers(0, 3, frames), np.zeros((frames, 5), np.float32))
    writer.finish({"train": list(FRAMES)})
    return LatentDataset(folder)


def examples_of(
    dataset: LatentDataset, settings: dict, dropout: float = 0.1, copies: int = 1, **others: object
) -> tuple[WindowExamples, Chunk]:
    schedule = make_schedule(**settings)
    chunk = schedule.chunk(tuple(height * width for height, width in GRIDS))
    config = VideoDiTConfig(grids=GRIDS, latent_channels=CHANNELS, width=24, depth=1, num_heads=1, num_actions=3)
    model = VideoDiT(config)
    odometry = ((0.1, 0.0), (0.0, 30.0), (0.0, -30.0))
    tokens = [model.tokens_of(step) for step in chunk.steps]
    return WindowExamples(dataset, chunk, tokens, dropout, odometry, copies, **others), chunk


def test_steps_are_shown_as_often_as_their_groups_are_to_be(dataset: LatentDataset) -> None:
    examples, chunk = examples_of(dataset, SCHEDULES[0], group_shares=(1, 2, 5))
    groups = [chunk.steps[examples.example(0, torch.Generator().manual_seed(seed)).step].group for seed in range(800)]
    shares = np.bincount(groups) / len(groups)
    np.testing.assert_allclose(shares, (0.125, 0.25, 0.625), atol=0.06)
    with pytest.raises(ValueError, match=r"group_shares is \[1, 2\]; the schedule has 3 sampling groups"):
        examples_of(dataset, SCHEDULES[0], group_shares=(1, 2))


def drawn(examples: WindowExamples, index: int, seed: int):
    """An example, its video, and where its window began: found by its actions."""
    example = examples.example(index, torch.Generator().manual_seed(seed))
    frames = examples.chunk.num_frames
    for id in examples.ids:
        actions = torch.from_numpy(examples.dataset.actions(id))
        for start in range(len(actions) - frames + 1):
            if torch.equal(actions[start : start + frames], example.actions):
                return example, id, start
    raise AssertionError


@pytest.mark.parametrize("settings", SCHEDULES, ids=lambda settings: settings["name"])
def test_an_example_is_what_packing_the_whole_window_gives(dataset: LatentDataset, settings: dict) -> None:
    examples, chunk = examples_of(dataset, settings)
    steps = set()
    for seed in range(25):
        example, id, start = drawn(examples, seed % len(examples), seed)
        stores = [
            torch.from_numpy(dataset.read(id, level, start, start + chunk.num_frames)).unsqueeze(0).float()
            for level in range(len(GRIDS))
        ]
        tokens = stack_tokens([examples.tokens[example.step]])
        whole = pack_tokens(stores, tokens.level, tokens.frame, tokens.row, tokens.column)
        assert torch.equal(example.x.float(), whole[0])
        steps.add(example.step)
    assert len(steps) > (len(chunk.steps) > 1)


def test_only_what_the_step_sees_is_read(dataset: LatentDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    examples, chunk = examples_of(dataset, SCHEDULES[0])
    read: list[int] = []
    real = LatentDataset.read_spans

    def counting(self: LatentDataset, video: str, spans: dict) -> dict:
        found = real(self, video, spans)
        read.append(sum(rows[..., 0].size for rows in found.values()))
        return found

    monkeypatch.setattr(LatentDataset, "read_spans", counting)
    for seed in range(10):
        example = examples.example(0, torch.Generator().manual_seed(seed))
        assert read[-1] == len(example.x) < sum(h * w for h, w in GRIDS) * chunk.num_frames


def test_a_video_counts_once_per_window_that_fits(dataset: LatentDataset) -> None:
    examples, chunk = examples_of(dataset, SCHEDULES[0])
    assert chunk.num_frames <= 80
    fit = {id: frames // chunk.num_frames for id, frames in FRAMES.items() if frames >= chunk.num_frames}
    assert len(examples) == sum(fit.values())
    assert long_enough(dataset, chunk) == list(fit)
    owners = [drawn(examples, index, 0)[1] for index in range(len(examples))]
    assert {id: owners.count(id) for id in fit} == fit


def test_windows_of_a_video_cover_it_in_turn(dataset: LatentDataset) -> None:
    examples, chunk = examples_of(dataset, SCHEDULES[0])
    last = [index for index in range(len(examples)) if drawn(examples, index, 0)[1] == "three"]
    starts = {index: [drawn(examples, index, seed)[2] for seed in range(30)] for index in last}
    count = FRAMES["three"] - chunk.num_frames + 1
    for share, index in enumerate(last):
        assert share * count // len(last) <= min(starts[index])
        assert max(starts[index]) < (share + 1) * count // len(last)


@pytest.mark.parametrize("dropout", [0.0, 1.0])
def test_context_is_dropped_as_often_as_asked(dataset: LatentDataset, dropout: float) -> None:
    examples, _ = examples_of(dataset, SCHEDULES[0], dropout)
    assert all(examples.example(0, torch.Generator().manual_seed(n)).dropped == bool(dropout) for n in range(20))


def test_a_batch_gathers_actions_and_poses_per_cell(dataset: LatentDataset) -> None:
    examples, _ = examples_of(dataset, SCHEDULES[0])
    made = [examples.example(index, torch.Generator().manual_seed(index)) for index in range(4)]
    batch = examples.collate(made)
    for row, example in enumerate(made):
        assert torch.equal(batch.action[row], example.actions[batch.tokens.cell_frame[row]])
    assert batch.pose.shape == (*batch.action.shape, 3)
    assert batch.group.tolist() == [examples.chunk.steps[example.step].group for example in made]
    assert len(set(batch.seeds)) == 4


def test_every_copy_of_the_targets_has_its_part_of_the_times(dataset: LatentDataset) -> None:
    one, _ = examples_of(dataset, SCHEDULES[0])
    four, _ = examples_of(dataset, SCHEDULES[0], copies=4)
    single, times = [], []
    for seed in range(200):
        generators = [torch.Generator().manual_seed(seed) for _ in range(2)]
        a, b = (examples.example(0, generator) for examples, generator in zip((one, four), generators, strict=True))
        assert (a.step, len(a.t), len(b.t)) == (b.step, 1, 4) and torch.equal(a.x, b.x)
        single.append(a.t[0])
        times.append(b.t)
    assert 0 <= min(single) < 0.05 and 0.95 < max(single) < 1
    found = torch.tensor(times)
    assert torch.equal((found * 4).floor().int(), torch.arange(4, dtype=torch.int32).expand(200, 4))
    assert one.collate([one.example(0, torch.Generator())] * 2).t.shape == (2,)
    assert four.collate([four.example(0, torch.Generator())] * 2).t.shape == (2, 4)
