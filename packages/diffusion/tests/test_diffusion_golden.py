"""The authors' code and ours give the same numbers: every fixture of a video model in tests/golden or $MILLIVID_GOLDEN."""

import json
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from millivid.diffusion import (
    SIZES,
    Draws,
    Noise,
    SamplerConfig,
    TokenBatch,
    VideoDiT,
    VideoDiTConfig,
    alpha_sigma,
    denoise,
    diffusion_loss,
    logsnr,
    rollout,
    stack_tokens,
)
from millivid.diffusion.embedding import TimeEmbedding, sincos_3d
from millivid.diffusion.released import from_released_names
from millivid.kernels import pack_tokens
from millivid.rollout import Plan, Role, plan

from .golden import (
    EMBEDDING,
    GOLDEN,
    VIDEO,
    Golden,
    assert_all_is_read,
    assert_gradients,
    assert_near,
    build_model,
    fixtures,
    grids_of,
    load,
    reading,
    results,
    same,
    schedule_of,
)

SCHEDULE, EMBEDDINGS = "NoiseSchedule", "embeddings"
FORWARD, UNIVERSAL = "ModelVideoUniversal.dit (DiTWrapper)", "ModelVideoUniversal"
ELSEWHERE = (
    r"out\.posemb_sincos_2d_dim\d+",  # by the tokenizer's tests
    r"out\.(keys|relative_indices)",  # steps on the authors' way that ours does not take
    r"out\.dit_hidden_.+",  # what the head makes out.v of
)


class RecordedNoise(Noise):
    """What the authors' code drew, step by step."""

    def __init__(self, steps: Tensor) -> None:
        self.steps = iter(steps)

    def draw(self, x: Tensor, tokens: TokenBatch) -> Tensor:
        return next(self.steps)


@reading(SCHEDULE, r"out\.alpha_shift.+", r"out\.sigma_shift.+", r"out\.logsnr_shift.+")
def test_noise_schedule(path: Path) -> None:
    golden, _ = load(path)
    for (shift,) in results(golden, r"out\.alpha_shift(.+)"):
        alpha, sigma = alpha_sigma(golden["in.t"], float(shift))
        assert_near(alpha, golden[f"out.alpha_shift{shift}"], EMBEDDING)
        assert_near(sigma, golden[f"out.sigma_shift{shift}"], EMBEDDING)
        assert_near(logsnr(golden["in.t"], float(shift)), golden[f"out.logsnr_shift{shift}"], EMBEDDING)


@reading(SCHEDULE, r"out\.linspace_1_0_\d+")
def test_sampling_times(path: Path) -> None:
    golden, _ = load(path)
    for (count,) in results(golden, r"out\.linspace_1_0_(\d+)"):
        assert_near(torch.linspace(1, 0, int(count)), golden[f"out.linspace_1_0_{count}"], 0)


@reading(EMBEDDINGS, r"out\.posemb_flhw_dim\d+")
def test_position_embedding(path: Path) -> None:
    golden, _ = load(path)
    frame, _, row, column = golden["in.indices"].long().unbind(-1)
    for (dim,) in results(golden, r"out\.posemb_flhw_dim(\d+)"):
        assert_near(sincos_3d(frame, row, column, int(dim)), golden[f"out.posemb_flhw_dim{dim}"], EMBEDDING)


@reading(EMBEDDINGS, r"out\.time_embedding")
def test_time_embedding(path: Path) -> None:
    golden, _ = load(path)
    embedding = TimeEmbedding(golden["out.time_embedding"].shape[-1])
    embedding.load_state_dict({k.removeprefix("model."): v for k, v in golden.items() if k.startswith("model.")})
    # Not EMBEDDING: processors differ in the last bit of a float32 exponential, and frequencies are multiplied by 1000.
    assert_near(embedding(golden["in.t"]), golden["out.time_embedding"], VIDEO)


@reading(FORWARD, r"out\.patchified")
def test_patchify(path: Path) -> None:
    golden, meta = load(path)
    assert_near(build_model(golden, meta).patchify(golden["in.x"]), golden["out.patchified"], VIDEO)


def given_actions(golden: dict[str, Tensor], mask: str) -> Tensor:
    """Actions where the mask's letter for the example is t, none where it is f."""
    given = torch.tensor([letter == "t" for letter in mask]).unsqueeze(1)
    return torch.where(given, golden["in.actions"][..., 0].long(), -1)


@reading(FORWARD, r"out\.c_[tf]+")
def test_conditioning(path: Path) -> None:
    golden, meta = load(path)
    model = build_model(golden, meta)
    for (mask,) in results(golden, r"out\.c_([tf]+)"):
        c = model.conditioning(golden["in.t"], golden["in.indices"][..., 1].long(), given_actions(golden, mask))
        assert_near(c, golden[f"out.c_{mask}"], VIDEO)


@reading(FORWARD, r"out\.v_mask_[tf]+")
def test_forward(path: Path) -> None:
    golden, meta = load(path)
    model = build_model(golden, meta)
    frame, level, row, column = golden["in.indices"].long().unbind(-1)
    batch, length = frame.shape
    tokens = TokenBatch(
        level=level, frame=frame, row=row, column=column, cell=torch.arange(length).expand(batch, -1),
        cell_level=level, cell_frame=frame, cell_role=torch.ones_like(frame),
    )  # fmt: skip
    for (mask,) in results(golden, r"out\.v_mask_([tf]+)"):
        v = model(golden["in.x"], golden["in.t"], tokens, given_actions(golden, mask))
        assert_near(v, golden[f"out.v_mask_{mask}"], VIDEO)


class Video:
    """A fixture of the universal model, with its flat token buffer as a store per level."""

    def __init__(self, golden: Golden) -> None:
        self.golden, self.meta = golden
        self.grids = grids_of(self.meta)
        self.model = build_model(*golden)
        self.schedule = schedule_of(self.meta["strategy"], self.meta.get("padded", False))
        tokens_per_level = tuple(height * width for height, width in self.grids)
        first, count = self.meta["first_denoised_frame"], self.meta["test_num_frames"]
        self.plan: Plan = plan(self.schedule, tokens_per_level, first, end=count)
        frame, self.level, row, column = self.golden["in.indices"][0].long().unbind(-1)
        self.place = frame, row, column
        self.frames = int(frame.max()) + 1
        self.actions = self.stores(self.golden["in.actions"])[0][:, :, 0, 0, 0].long()

    def stores(self, flat: Tensor) -> list[Tensor]:
        stores = []
        for level in range(int(self.level.max()) + 1):
            store = flat.new_zeros(len(flat), self.frames, *self.grids[level], flat.shape[-1])
            frame, row, column = (index[self.level == level] for index in self.place)
            store[:, frame, row, column] = flat[:, self.level == level]
            stores.append(store)
        return stores

    def flat(self, stores: list[Tensor]) -> Tensor:
        flat = stores[0].new_zeros(len(stores[0]), len(self.level), stores[0].shape[-1])
        for level, store in enumerate(stores):
            frame, row, column = (index[self.level == level] for index in self.place)
            flat[:, self.level == level] = store[:, frame, row, column]
        return flat

    def tokens(self, index: int) -> TokenBatch:
        planned = list(self.plan)[index]
        return stack_tokens([self.model.tokens_of(planned.step, planned.chunk_start)])


def unpadded(path: Path) -> Video:
    video = Video(load(path))
    if video.meta.get("padded"):
        pytest.skip("the authors' padded steps attend to their padding, ours do not (docs/decisions/0003)")
    return video


@reading(UNIVERSAL)
def test_plan(path: Path) -> None:
    video = Video(load(path))
    assert [[step.step_index, step.chunk_start] for step in video.plan] == video.meta["sequence"]
    assert (video.plan.video_end, video.plan.buffer_end) == (video.meta["video_end"], video.meta["buffer_end"])


@reading(UNIVERSAL, r"out\.select\d+\.(indices|roles|actions|values)")
def test_selected_tokens(path: Path) -> None:
    video = Video(load(path))
    golden = video.golden
    for index in video.meta["select_steps"]:
        tokens = video.tokens(index)
        columns = torch.stack([tokens.frame, tokens.level, tokens.row, tokens.column], dim=-1)
        real = golden[f"out.select{index}.roles"][0] != int(Role.UNSEEN)
        assert bool(real.all()) or video.meta.get("padded")
        assert same(columns[0], golden[f"out.select{index}.indices"][0][real])
        assert same(tokens.cell_role.gather(1, tokens.cell)[0], golden[f"out.select{index}.roles"][0][real])
        for name, source in (("actions", "in.actions"), ("values", "in.tokens")):
            stores = video.stores(golden[source])
            each = (column.expand(len(stores[0]), -1) for column in columns[..., [1, 0, 2, 3]].unbind(-1))
            assert torch.equal(pack_tokens(stores, *each), golden[f"out.select{index}.{name}"][:, real])


@reading(UNIVERSAL, r"out\.denoise_t[\d.]+_gs[\d.]+\.(x|eps)")
def test_denoise(path: Path) -> None:
    video = unpadded(path)
    index = video.meta["denoise_step"]
    tokens = video.tokens(index).expand(len(video.actions))
    action = video.actions[:, tokens.cell_frame[0]]
    x, eps = video.golden[f"out.select{index}.values"], video.golden["in.denoise_eps"]
    shift = video.meta["shift"]
    for t, guidance in results(video.golden, r"out\.denoise_t([\d.]+)_gs([\d.]+)\.x"):
        found = denoise(video.model, x, eps, float(t), tokens, action, guidance=float(guidance), shift=shift)
        for name, value in zip(("x", "eps"), found, strict=True):
            assert_near(value, video.golden[f"out.denoise_t{t}_gs{guidance}.{name}"], VIDEO)


@reading(UNIVERSAL, r"out\.generate_gs[\d.]+", besides=r"out\.changed_mask")
def test_generated_video(path: Path) -> None:
    video = unpadded(path)
    given = video.golden["in.tokens"]
    everything = torch.ones(given.shape[:2], dtype=torch.bool)
    written = video.golden.get("out.changed_mask", everything).bool().unsqueeze(-1)
    later = (video.golden["in.indices"][..., 0] >= video.meta["first_denoised_frame"]).unsqueeze(-1)
    for (guidance,) in results(video.golden, r"out\.generate_gs([\d.]+)"):
        stores = video.stores(torch.where(written & later, torch.nan, given))
        config = SamplerConfig(steps=video.meta["sampling_steps"], guidance=float(guidance), shift=video.meta["shift"])
        noise = RecordedNoise(video.golden["rng.generate_eps"])
        steps = list(rollout(video.model, stores, video.plan, video.actions, config, noise))
        assert len(steps) == len(video.plan) == video.meta["num_rollout_steps"]
        found = video.flat(stores)
        assert torch.equal(torch.where(written, given, found), given)
        assert_near(found, video.golden[f"out.generate_gs{guidance}"], VIDEO)


@reading(UNIVERSAL, r"out\.train_loss")
def test_loss_and_gradients(path: Path) -> None:
    video = unpadded(path)
    golden = video.golden
    (index,) = re.findall(r"out\.select(\d+)\.\*", video.meta["train_batch"])
    tokens = video.tokens(int(index)).expand(len(video.actions))
    dropped = golden["rng.train_u"] <= video.meta["guidance_dropout_probability"]
    draws = Draws(t=golden["rng.train_t"][:, 0], dropped=dropped, eps=golden["rng.train_eps"])
    action = video.actions[:, tokens.cell_frame[0]]
    loss, _ = diffusion_loss(
        video.model, golden[f"out.select{index}.values"], tokens, action, draws, shift=video.meta["shift"]
    )
    assert_near(loss, golden["out.train_loss"], VIDEO)
    loss.backward()
    assert_gradients(video.model, golden)


@pytest.mark.parametrize(
    "path",
    [path for kind in (SCHEDULE, EMBEDDINGS, FORWARD, UNIVERSAL) for path in fixtures(kind)],
    ids=lambda path: path.stem,
)
def test_nothing_in_a_fixture_is_left_unread(path: Path) -> None:
    assert_all_is_read(path, *ELSEWHERE)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("params_[vf]*.json")), ids=lambda path: path.stem)
def test_names_and_shapes_of_the_released_models(path: Path) -> None:
    shapes = {name: torch.empty(shape, device="meta") for name, shape in json.loads(path.read_text()).items()}
    released = {name: tuple(value.shape) for name, value in from_released_names(shapes).items()}
    size = re.fullmatch(r"params_(video|framepack)_dit(s|b|l|xl).*", path.stem)
    assert size, f"{path.name} does not say its size, as params_video_ditb.json does"
    own = {}
    if size[1] == "framepack":
        narrow = released.get("patchify.kernels.0.0.weight")
        own = {"patchify": "framepack", "bottleneck": None if narrow is None else narrow[0]}
    with torch.device("meta"):
        model = VideoDiT(VideoDiTConfig(**SIZES[size[2].upper()], **own))  # type: ignore[arg-type]
    assert {name: tuple(p.shape) for name, p in model.state_dict().items()} == released
