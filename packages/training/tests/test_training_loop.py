"""Runs: folders, checkpoints, and training that resumes bit for bit."""

import os
import pickle
import signal
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from millivid.training import RunError, TrainingConfig, open_run, step_generator, train
from millivid.training.checkpoint import checkpoints, load_newest_checkpoint, save_checkpoint

BASE = {"batch_size": 8, "warmup": 2, "lr": 0.01, "precision": "fp32"}


class Toy:
    """Random features to their sum, with dropout drawn from the step's generator."""

    def __init__(self, interrupt_at: int | None = None, poison_at: int | None = None) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 1))
        self.interrupt_at, self.poison_at = interrupt_at, poison_at

    def batch(self, step: int, generator: torch.Generator) -> Tensor:
        if step == self.interrupt_at:
            raise KeyboardInterrupt
        x = torch.randn(8, 4, generator=generator)
        return x * torch.nan if step == self.poison_at else x

    def loss(self, batch: Tensor, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        keep = torch.rand(batch.shape, generator=generator) < 0.8
        loss = (self.model(batch * keep)[:, 0] - batch.sum(dim=1)).square().mean()
        return loss, {"mse": loss.detach()}


def run(out: Path, steps: int, task: Toy | None = None, **settings: object) -> dict[str, Tensor]:
    out.mkdir(exist_ok=True)
    model = train(task or Toy(), TrainingConfig(**{**BASE, "steps": steps, **settings}), out, progress=False)
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("settings", [{}, {"ema": 0.9}, {"precision": "bf16"}], ids=["plain", "ema", "bf16"])
def test_resuming_changes_no_bit(tmp_path: Path, settings: dict) -> None:
    whole = run(tmp_path / "whole", 10, **settings)
    half = run(tmp_path / "halves", 5, **settings)
    assert not torch.equal(half["0.weight"], whole["0.weight"])
    assert_same(run(tmp_path / "halves", 10, **settings), whole)


def test_interrupted_training_saves_and_goes_on_as_if_nothing_happened(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", 10)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", 10, Toy(interrupt_at=7))
    assert [file.name for file in checkpoints(tmp_path / "cut")] == ["step_00000007.pt"]
    assert_same(run(tmp_path / "cut", 10), whole)


def test_a_finished_run_trains_no_further(tmp_path: Path) -> None:
    assert_same(run(tmp_path, 4), run(tmp_path, 4, Toy(interrupt_at=4)))


def test_training_learns(tmp_path: Path) -> None:
    task = Toy()
    x = torch.randn(256, 4, generator=step_generator(9, 0))

    def error() -> float:
        with torch.no_grad():
            return float((task.model(x)[:, 0] - x.sum(dim=1)).square().mean())

    before = error()
    run(tmp_path, 150, task)
    assert error() < before / 2


def test_a_step_that_is_not_finite_changes_nothing(tmp_path: Path) -> None:
    before = run(tmp_path / "before", 2, ema=0.9)
    assert_same(run(tmp_path / "skips", 3, Toy(poison_at=2), ema=0.9), before)
    assert all(bool(value.isfinite().all()) for value in run(tmp_path / "skips", 10, ema=0.9).values())


def test_too_many_steps_that_are_not_finite_stop_the_run_and_leave_the_batch(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"not finite in 1 steps, .* step 3, .*skipped_batch.pt; lower training.lr"):
        run(tmp_path, 10, Toy(poison_at=2), max_skipped=0, checkpoint_every=1)
    assert torch.load(tmp_path / "skipped_batch.pt").isnan().all()
    assert_same(load_newest_checkpoint(tmp_path)["model"], run(tmp_path / "before", 2))


def test_steps_passed_over_are_counted_across_a_resume(tmp_path: Path) -> None:
    run(tmp_path, 3, Toy(poison_at=2), max_skipped=1)
    with pytest.raises(RunError, match="not finite in 2 steps"):
        run(tmp_path, 10, Toy(poison_at=5), max_skipped=1)


def test_sigterm_saves_and_stops(tmp_path: Path) -> None:
    class Terminated(Toy):
        def batch(self, step: int, generator: torch.Generator) -> Tensor:
            if step == 4:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().batch(step, generator)

    whole, handler = run(tmp_path / "whole", 10), signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", 10, Terminated())
    assert [file.name for file in checkpoints(tmp_path / "cut")] == ["step_00000005.pt"]
    assert signal.getsignal(signal.SIGTERM) is handler
    assert_same(run(tmp_path / "cut", 10), whole)


def test_a_steps_random_numbers_depend_on_seed_and_step_alone() -> None:
    draws = {
        (seed, step): torch.rand(1, generator=step_generator(seed, step)).item()
        for seed in (0, 1)
        for step in (0, 1, 2)
    }
    assert len(set(draws.values())) == 6
    assert torch.rand(1, generator=step_generator(1, 2)).item() == draws[1, 2]


def test_checkpoints_are_kept_up_to_a_number(tmp_path: Path) -> None:
    run(tmp_path, 9, checkpoint_every=2, keep=3)
    assert [file.name for file in checkpoints(tmp_path)] == [f"step_{n:08d}.pt" for n in (6, 8, 9)]


def test_every_nth_checkpoint_stays(tmp_path: Path) -> None:
    run(tmp_path, 10, checkpoint_every=1, keep=1, keep_every=4)
    assert [file.name for file in checkpoints(tmp_path)] == [f"step_{n:08d}.pt" for n in (4, 8, 10)]
    assert len(list((tmp_path / "checkpoints").iterdir())) == 6  # and their hashes


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = run(tmp_path / "whole", 10)
    run(tmp_path / "hurt", 6, checkpoint_every=2)
    older, newest = checkpoints(tmp_path / "hurt")
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content if damage == "changed" else content[:-100])
    assert_same(run(tmp_path / "hurt", 10, checkpoint_every=2), whole)
    told = capsys.readouterr().err
    assert f"checkpoint {newest} is damaged (its hash is another); going on from {older.name}" in told
    assert newest.with_suffix(".damaged").is_file()


def test_a_checkpoint_without_a_hash_is_read(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, {"step": 1}, keep=1).with_suffix(".sha256").unlink()
    assert load_newest_checkpoint(tmp_path) == {"step": 1}


def test_a_checkpoint_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, 1, {"step": 1}, keep=1)

    def killed(state: object, file: Path) -> None:
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path, 2, {"step": 2}, keep=1)
    assert load_newest_checkpoint(tmp_path) == {"step": 1}


@pytest.mark.parametrize("length", [0, 10, 1000])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, length: int) -> None:
    run(tmp_path, 2)
    file = checkpoints(tmp_path)[-1]
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(RunError, match="checkpoint .*step_00000002.pt is damaged"):
        run(tmp_path, 4)


def test_nothing_in_a_checkpoint_is_executed(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "owned",)

    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "step_00000001.pt").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(RunError, match="is damaged"):
        load_newest_checkpoint(tmp_path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("settings", [{"ema": 0.9}], ids=["no average saved"])
def test_a_checkpoint_of_another_config_is_refused(tmp_path: Path, settings: dict) -> None:
    run(tmp_path, 2)
    with pytest.raises(RunError, match="is of another config"):
        run(tmp_path, 4, **settings)
    task = Toy()
    task.model = nn.Sequential(nn.Linear(4, 1))
    with pytest.raises(RunError, match="is of another config"):
        run(tmp_path, 4, task)


SETTINGS = {"model": {"width": 8}, "training": {"steps": 5, "lr": 0.1, "decay": "constant", "keep": 2}, "out": "a"}


def changed(**training: object) -> dict:
    return {**SETTINGS, "training": {**SETTINGS["training"], **training}}


def test_a_run_opens_again_with_the_same_settings(tmp_path: Path) -> None:
    open_run(tmp_path / "a" / "b", "toy", SETTINGS)
    open_run(tmp_path / "a" / "b", "toy", SETTINGS)
    open_run(tmp_path / "a" / "b", "toy", {**changed(keep=9, steps=50), "out": "elsewhere"})


def test_a_run_with_other_settings_is_refused(tmp_path: Path) -> None:
    open_run(tmp_path / "run", "toy", SETTINGS)
    with pytest.raises(RunError, match=r"training.lr was 0.1 and is now 0.2\); choose another out="):
        open_run(tmp_path / "run", "toy", changed(lr=0.2))
    with pytest.raises(RunError, match="holds toy, not tokenizer"):
        open_run(tmp_path / "run", "tokenizer", SETTINGS)


def test_the_length_of_a_cosine_cannot_change(tmp_path: Path) -> None:
    open_run(tmp_path / "run", "toy", changed(decay="cosine"))
    with pytest.raises(RunError, match="training.steps was 5 and is now 6"):
        open_run(tmp_path / "run", "toy", changed(decay="cosine", steps=6))


def test_other_folders_and_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").touch()
    with pytest.raises(RunError, match="is not empty and holds no run"):
        open_run(tmp_path / "photos", "toy", SETTINGS)
    with pytest.raises(RunError, match="is a file"):
        open_run(tmp_path / "photos" / "cat.png", "toy", SETTINGS)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    with pytest.raises(RunError, match="run.json cannot be read"):
        open_run(tmp_path / "broken", "toy", SETTINGS)
