"""Runs: folders, checkpoints, and training that resumes bit for bit."""

import dataclasses
import hashlib
import json
import os
import pickle
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from millivid.training import RunError, open_run, train
from millivid.training.checkpoint import checkpoints, newest_checkpoint, read_checkpoint, save_checkpoint
from millivid.training.loader import load_shares
from millivid.training.optimizer import split_parameters
from millivid.training.processes import Processes

from .toy import Toy, settings

Weights = dict[str, Tensor]


def run(out: Path, steps: int, task: Toy | None = None, **given: object) -> Weights:
    out.mkdir(exist_ok=True)
    model = train(task or Toy(), settings(steps=steps, **given), out, progress=False)
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_same(a: Weights, b: Weights) -> None:
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


VARIANTS = [
    {},
    {"ema": 0.9},
    {"precision": "bf16"},
    {"micro_batch_size": 2},
    {"workers": 1},
    {"decay": "cosine"},
    {"checkpoint_activations": True},
    {"compile": True},
]


@pytest.mark.parametrize("given", VARIANTS, ids=lambda given: "-".join(given) or "plain")
def test_resuming_changes_no_bit(tmp_path: Path, given: dict) -> None:
    if given.get("decay") == "cosine":  # whose length is a setting, so that the first half has to be cut short

        def terminate(index: int) -> None:
            seen.append(index)
            if len(seen) == 5 * 8:
                os.kill(os.getpid(), signal.SIGTERM)

        seen: list[int] = []
        whole = run(tmp_path / "whole", 10, **given)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "halves", 10, Toy(on_example=terminate), **given)
    else:
        whole = run(tmp_path / "whole", 10, **given)
        half = run(tmp_path / "halves", 5, **given)
        assert not torch.equal(half["head.weight"], whole["head.weight"])
    assert_same(run(tmp_path / "halves", 10, **given), whole)


def test_a_finished_run_tells_what_it_took_in_all_its_launches(tmp_path: Path) -> None:
    run(tmp_path, 3)
    before = json.loads((tmp_path / "trained.json").read_text())
    assert before["steps"] == 3 and before["flop"] > 0
    run(tmp_path, 7)
    after = json.loads((tmp_path / "trained.json").read_text())
    assert after["seconds"] > before["seconds"] - 0.1
    assert after["steps"] == 7 and after["examples"] * 3 == before["examples"] * 7
    assert after["flop"] * 3 == pytest.approx(before["flop"] * 7)
    assert read_checkpoint(newest_checkpoint(tmp_path))["seconds"] == pytest.approx(after["seconds"], abs=1)


def test_the_state_of_everything_is_in_the_checkpoint(tmp_path: Path) -> None:
    run(tmp_path, 3, ema=0.9)
    state = read_checkpoint(newest_checkpoint(tmp_path))
    matrices, rest = (set(part) for part in split_parameters(Toy().model))
    assert (state["step"], state["skipped"], state["updates"]) == (3, 0, 3)
    assert set(state["model"]) == matrices | rest
    kinds = {kind: set(tensors) for kind, tensors in state["optimizer"].items()}
    assert kinds == {"momentum_buffer": matrices, "exp_avg": rest, "exp_avg_sq": rest, "average": matrices | rest}


def test_a_finished_run_trains_no_further(tmp_path: Path) -> None:
    def refuse(index: int) -> None:
        raise AssertionError

    done = run(tmp_path, 4)
    task = Toy()
    task.loss = lambda batch: pytest.fail("trained on") if torch.is_grad_enabled() else Toy.loss(task, batch)
    assert_same(run(tmp_path, 4, task), done)


def test_training_learns(tmp_path: Path) -> None:
    run(tmp_path, 300, log_every=20)
    losses = [event.value for event in scalars(tmp_path)["loss"]]
    assert losses[-1] < losses[0] / 10


def scalars(out: Path) -> dict[str, list]:
    accumulator = EventAccumulator(str(out / "logs"))
    accumulator.Reload()
    return {name: accumulator.Scalars(name) for name in accumulator.Tags()["scalars"]}


def test_the_log_has_losses_rates_and_pictures(tmp_path: Path) -> None:
    run(tmp_path, 10, log_every=5, pictures_every=5)
    logged = scalars(tmp_path)
    assert {f"loss_kind_{kind}" for kind in range(3)} <= logged.keys()
    rates = {"samples_per_second", "tokens_per_second", "model_flops_utilization", "gradient_norm", "learning_rate"}
    assert rates | {"loss", "skipped_steps", "unreadable_examples"} <= logged.keys()
    assert [event.step for event in logged["loss"]] == [5, 10]
    first, second = (event.value for event in logged["samples_per_second"])
    tokens = [event.value for event in logged["tokens_per_second"]]
    assert tokens == pytest.approx([6 * first, 6 * second])
    accumulator = EventAccumulator(str(tmp_path / "logs"))
    accumulator.Reload()
    assert [event.step for event in accumulator.Images("grey")] == [5, 10]


def test_a_resumed_log_repeats_no_step(tmp_path: Path) -> None:
    run(tmp_path, 4, log_every=1, checkpoint_every=2)
    newest_checkpoint(tmp_path).unlink()
    run(tmp_path, 6, log_every=1, checkpoint_every=2)
    assert [event.step for event in scalars(tmp_path)["loss"]] == [1, 2, 3, 4, 5, 6]


def first_of_step(step: int) -> int:
    """The index of an example that is drawn in a step, and of no earlier one."""
    seen: list[int] = []
    task = Toy(on_example=seen.append)
    for index, _ in enumerate(load_shares(task, settings(steps=step + 1), Processes())):
        before = set(seen[: 8 * index])
    return next(index for index in seen[8 * step :] if index not in before)


def test_a_step_that_is_not_finite_changes_nothing(tmp_path: Path) -> None:
    task = Toy()
    task.poisoned = {first_of_step(2)}
    before = run(tmp_path / "before", 2, ema=0.9)
    assert_same(run(tmp_path / "skips", 3, task, ema=0.9), before)
    assert all(bool(value.isfinite().all()) for value in run(tmp_path / "skips", 10, ema=0.9).values())


def test_a_loss_that_is_not_finite_is_passed_over_even_if_its_gradient_is(tmp_path: Path) -> None:
    task = Toy()
    task.loss = lambda batch: (Toy.loss(task, batch)[0] + torch.nan, {})
    start = {name: value.clone() for name, value in Toy().model.state_dict().items()}
    assert_same(run(tmp_path, 3, task), start)
    assert read_checkpoint(newest_checkpoint(tmp_path))["skipped"] == 3


def test_too_many_steps_that_are_not_finite_stop_the_run_and_leave_the_batch(tmp_path: Path) -> None:
    task = Toy()
    task.poisoned = {first_of_step(2)}
    message = (
        r"not finite in 1 steps, .* step 3, .*skipped_batch.pt; look at it, or try a lower training.lr in another out="
    )
    with pytest.raises(RunError, match=message):
        run(tmp_path, 10, task, max_skipped=0, checkpoint_every=1)
    ((x, _, _),) = torch.load(tmp_path / "skipped_batch.pt")  # which reads nothing but tensors in lists and dicts
    assert x.isnan().any()
    whole = run(tmp_path / "before", 2)
    kept = read_checkpoint(newest_checkpoint(tmp_path))
    assert kept["step"] == 2
    assert all(torch.equal(whole[name], value) for name, value in kept["model"].items())


def test_steps_passed_over_are_counted_across_a_resume(tmp_path: Path) -> None:
    task = Toy()
    task.poisoned = {first_of_step(2)}
    run(tmp_path, 3, task, max_skipped=1)
    task = Toy()
    task.poisoned = {first_of_step(5)}
    with pytest.raises(RunError, match="not finite in 2 steps"):
        run(tmp_path, 10, task, max_skipped=1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_stops_after_the_step(tmp_path: Path, number: signal.Signals) -> None:
    def terminate(index: int) -> None:
        seen.append(index)
        if len(seen) == 5 * 8 - 3:  # in the middle of loading the fifth step
            os.kill(os.getpid(), number)

    seen: list[int] = []
    whole, handler = run(tmp_path / "whole", 10), signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", 10, Toy(on_example=terminate))
    assert [file.name for file in checkpoints(tmp_path / "cut")] == ["step_00000004.pt"]
    assert signal.getsignal(number) is handler
    assert_same(run(tmp_path / "cut", 10), whole)


def test_a_second_ctrl_c_does_not_wait_and_saves_no_torn_step(tmp_path: Path) -> None:
    task = Toy()

    def impatient(batch: tuple) -> tuple:
        if torch.is_grad_enabled():
            steps.append(1)
        if len(steps) == 4:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return Toy.loss(task, batch)

    steps: list[int] = []
    task.loss = impatient
    whole = run(tmp_path / "whole", 10)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", 10, task, checkpoint_every=2)
    assert [file.name for file in checkpoints(tmp_path / "cut")] == ["step_00000002.pt"]
    assert_same(run(tmp_path / "cut", 10), whole)


def test_checkpoints_are_kept_up_to_a_number(tmp_path: Path) -> None:
    run(tmp_path, 9, checkpoint_every=2, keep=3)
    assert [file.name for file in checkpoints(tmp_path)] == [f"step_{n:08d}.pt" for n in (6, 8, 9)]


def test_every_nth_checkpoint_stays(tmp_path: Path) -> None:
    run(tmp_path, 10, checkpoint_every=1, keep=1, keep_every=4)
    assert [file.name for file in checkpoints(tmp_path)] == [f"step_{n:08d}.pt" for n in (4, 8, 10)]
    assert len(list((tmp_path / "checkpoints").iterdir())) == 6  # and their manifests


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("cut", r"it has \d+ bytes, not \d+"),
        ("changed", "its hash is another"),
        ("manifest", "its manifest cannot be read"),
    ],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    tmp_path: Path, damage: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = run(tmp_path / "whole", 10)
    run(tmp_path / "hurt", 6, checkpoint_every=2)
    older, newest = checkpoints(tmp_path / "hurt")
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes({"changed": content, "cut": content[:-100], "manifest": newest.read_bytes()}[damage])
    if damage == "manifest":
        newest.with_suffix(".json").write_text("{")
    assert_same(run(tmp_path / "hurt", 10, checkpoint_every=2), whole)
    import re

    found = capsys.readouterr().err
    assert re.search(
        f"checkpoint {re.escape(str(newest))} is damaged \\({message}\\); going on from {older.name}", found
    )
    assert newest.with_suffix(".damaged").is_file()


def test_checkpoints_that_cannot_be_looked_at_are_not_gone(tmp_path: Path) -> None:
    file = save_checkpoint(tmp_path, 1, {"step": 1}, keep=5)
    manifest = file.with_suffix(".json")
    manifest.rename(tmp_path / "manifest")
    manifest.symlink_to("nowhere")
    with pytest.raises(RunError, match=f"{manifest}: cannot be read"):
        newest_checkpoint(tmp_path)
    assert file.is_file() and manifest.is_symlink()
    file.parent.rename(tmp_path / "away")
    file.parent.symlink_to("nowhere")
    with pytest.raises(OSError, match="checkpoints"):
        newest_checkpoint(tmp_path)


def test_a_checkpoint_whose_manifest_is_not_written_yet_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_checkpoint(tmp_path, 1, {"step": 1}, keep=5)
    save_checkpoint(tmp_path, 2, {"step": 2}, keep=5).with_suffix(".json").unlink()
    lost = save_checkpoint(tmp_path, 9, {"step": 9}, keep=5)
    lost.with_suffix(".json").unlink()
    assert read_checkpoint(newest_checkpoint(tmp_path)) == {"step": 1}
    assert "checkpoint step_00000009.pt has no manifest step_00000009.json" in capsys.readouterr().err
    save_checkpoint(tmp_path, 2, {"step": 2.5}, keep=5)
    assert read_checkpoint(newest_checkpoint(tmp_path)) == {"step": 2.5}
    assert lost.is_file()


def test_a_checkpoint_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, 1, {"step": 1}, keep=1)

    def killed(state: object, file: Path) -> None:
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path, 2, {"step": 2}, keep=1)
    monkeypatch.undo()
    assert read_checkpoint(newest_checkpoint(tmp_path)) == {"step": 1}
    save_checkpoint(tmp_path, 3, {"step": 3}, keep=1)
    assert sorted(file.name for file in (tmp_path / "checkpoints").iterdir()) == [
        "step_00000003.json",
        "step_00000003.pt",
    ]


@pytest.mark.parametrize("length", [0, 10, 1000])
def test_a_damaged_only_checkpoint_is_named(tmp_path: Path, length: int) -> None:
    run(tmp_path, 2)
    file = checkpoints(tmp_path)[-1]
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(RunError, match="checkpoint .*step_00000002.pt is damaged"):
        run(tmp_path, 4)


def test_nothing_in_a_checkpoint_is_executed(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "owned",)

    file = tmp_path / "evil.pt"
    file.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(RunError, match="holds no run's state"):
        read_checkpoint(file)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(("before", "after"), [({}, {"ema": 0.9}), ({"ema": 0.9}, {})])
def test_a_checkpoint_of_another_config_is_refused(tmp_path: Path, before: dict, after: dict) -> None:
    run(tmp_path, 2, **before)
    with pytest.raises(RunError, match="is of another config"):
        run(tmp_path, 4, **after)


@pytest.mark.parametrize("width", [4, 12])
def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path, width: int) -> None:
    run(tmp_path, 2)
    task = Toy()
    task.model.head = nn.Linear(10, 1, bias=False) if width == 4 else nn.Linear(10, 12)
    with pytest.raises(RunError, match="is of another config"):
        run(tmp_path, 4, task)


def test_skipping_unreadable_examples_names_and_counts_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(index: int) -> None:
        if index in (3, 4):
            raise ValueError(f"video_{index}.mp4 is damaged")

    with pytest.raises(RunError, match=r"video_[34].mp4 is damaged \(to pass over .* training.unreadable=skip\)"):
        run(tmp_path / "raise", 13, Toy(on_example=refuse))
    assert read_checkpoint(newest_checkpoint(tmp_path / "raise"))["step"] > 0  # what was done is saved
    run(tmp_path / "skip", 26, Toy(on_example=refuse), unreadable="skip", log_every=1)
    printed = capsys.readouterr().err
    assert (
        printed.count("passed over: video_3.mp4 is damaged")
        == printed.count("passed over: video_4.mp4 is damaged")
        == 1
    )
    assert scalars(tmp_path / "skip")["unreadable_examples"][-1].value >= 2 * 2


def test_a_dataset_of_which_nothing_can_be_read_stops_the_run(tmp_path: Path) -> None:
    def refuse(index: int) -> None:
        raise OSError(f"{index}.mp4 is gone")

    with pytest.raises(RunError, match=r"100 examples in a row could not be read, the last because: \d+.mp4 is gone"):
        run(tmp_path, 3, Toy(on_example=refuse), unreadable="skip")


SETTINGS = {"model": {"width": 8}, "training": {"steps": 5, "lr": 0.1, "decay": "constant", "keep": 2}, "out": "a"}


def changed(**training: object) -> dict:
    return {**SETTINGS, "training": {**SETTINGS["training"], **training}}


def test_a_run_opens_again_with_the_same_settings(tmp_path: Path) -> None:
    open_run(tmp_path / "a" / "b", "toy", SETTINGS)
    open_run(tmp_path / "a" / "b", "toy", SETTINGS)
    open_run(tmp_path / "a" / "b", "toy", {**changed(keep=9, steps=50, zero=2, micro_batch_size=1), "out": "elsewhere"})
    record = json.loads((tmp_path / "a" / "b" / "run.json").read_text())
    assert record["settings"]["training"]["zero"] == 2
    assert len(record["launches"]) == 3
    launch = record["launches"][-1]
    assert launch["versions"]["torch"] == torch.__version__
    assert {"time", "command", "processes", "hardware", "commit"} <= launch.keys()


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
    with pytest.raises(RunError, match="run.json: is no valid JSON"):
        open_run(tmp_path / "broken", "toy", SETTINGS)


@pytest.mark.parametrize("given", [{"compile": True}, {"checkpoint_activations": True}, {"micro_batch_size": 2}])
def test_how_a_step_is_computed_changes_next_to_nothing(tmp_path: Path, given: dict) -> None:
    plain, other = run(tmp_path / "plain", 10), run(tmp_path / "other", 10, **given)
    assert plain.keys() == other.keys()
    assert all(torch.allclose(plain[name], other[name], atol=1e-5) for name in plain)


def test_a_full_disk_stops_the_run_and_leaves_the_older_checkpoints(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", 8)
    run(tmp_path / "full", 4)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = checkpoints(tmp_path / "full")[0].stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, hard))  # no file may grow beyond
    try:
        with pytest.raises(RunError, match=r"step_00000006.pt could not be written \(.* MiB are free\); earlier check"):
            run(tmp_path / "full", 8, checkpoint_every=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [file.name for file in (tmp_path / "full" / "checkpoints").glob("*.pt*")] == ["step_00000004.pt"]
    assert_same(run(tmp_path / "full", 8), whole)


@pytest.mark.parametrize(
    "numbers", [[signal.SIGUSR2], [signal.SIGUSR2, signal.SIGTERM], [signal.SIGTERM, signal.SIGUSR2]]
)
def test_a_clusters_own_signal_saves_before_its_handler_is_called(
    tmp_path: Path, numbers: list[signal.Signals]
) -> None:
    def announce(index: int) -> None:
        seen.append(index)
        if len(seen) == 5 * 8:
            for number in numbers:
                os.kill(os.getpid(), number)

    seen: list[int] = []
    seen_by_handler: list[int] = []

    def requeue(number: int, _: object) -> None:
        seen_by_handler.extend([number, read_checkpoint(newest_checkpoint(tmp_path))["step"]])
        raise SystemExit(0)

    before = signal.signal(signal.SIGUSR2, requeue)
    try:
        with pytest.raises(SystemExit):
            run(tmp_path, 10, Toy(on_example=announce))
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert seen_by_handler == [signal.SIGUSR2, 4]


def test_weights_and_biases_gets_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run(tmp_path, 4, log_every=2, pictures_every=4, wandb="millivid-tests")
    wandb.teardown()  # its process may write on after the run has ended
    (kept,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    content = kept.read_bytes()
    assert b"model_flops_utilization" in content
    assert b"grey" in content


def test_without_the_package_weights_and_biases_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(RunError, match=r"training.wandb needs the wandb package .*; pip install wandb"):
        run(tmp_path, 4, wandb="project")


def test_without_the_package_zero_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deepspeed", None)
    with pytest.raises(
        RunError, match=r"training.zero needs DeepSpeed .*; install it with .*, or set training.zero=null"
    ):
        run(tmp_path, 4, zero=2)


def test_a_folder_whose_settings_were_being_written_is_taken(tmp_path: Path) -> None:
    (tmp_path / ".writing-1-run.json").write_text("{")
    open_run(tmp_path, "toy", SETTINGS)
    assert json.loads((tmp_path / "run.json").read_text())["kind"] == "toy"


def test_steps_passed_over_are_left_out_of_the_logs_means(tmp_path: Path) -> None:
    task = Toy()
    task.poisoned = {first_of_step(2)}
    run(tmp_path, 4, task, log_every=4)
    (loss,) = scalars(tmp_path)["loss"]
    assert loss.value == pytest.approx(loss.value)  # a number


def test_a_log_that_cannot_be_written_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter.add_scalar", full)
    with pytest.raises(RunError, match=r"the log in .*logs could not be written \(.*No space left.*\); make room"):
        run(tmp_path, 4, log_every=1)


def test_a_batch_of_dataclasses_is_left_as_plain_tensors(tmp_path: Path) -> None:
    @dataclasses.dataclass
    class Pair:
        x: Tensor
        rest: tuple[Tensor, ...]

    task = Toy()
    task.collate = lambda examples: Pair(Toy.collate(task, examples)[0], Toy.collate(task, examples)[1:])
    task.weight = lambda batch: 1.0
    task.loss = lambda batch: (Toy.loss(task, (batch.x, *batch.rest))[0] * torch.nan, {})
    with pytest.raises(RunError, match="not finite"):
        run(tmp_path, 3, task, max_skipped=0)
    (pair,) = torch.load(tmp_path / "skipped_batch.pt")
    assert pair["x"].shape == (8, 6)


def test_pictures_that_cannot_be_drawn_do_not_end_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = Toy()

    def pictures(model: nn.Module) -> dict[str, Tensor]:
        raise ValueError("test video is damaged")

    task.pictures = pictures
    run(tmp_path, 4, task, pictures_every=2)
    assert capsys.readouterr().err.count("no pictures: test video is damaged") == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("step"), "lacks the entry step"),
        (lambda s: s.update(step=None), "step: expected int, got null"),
        (lambda s: s.update(step=-1), "cannot be negative"),
        (lambda s: s.update(step=4), "is of step 4"),
        (lambda s: s.update(seconds=float("nan")), "without end"),
        (lambda s: s.update(model=3), "model: expected object, got int"),
        (lambda s: s.update(model=[torch.zeros(3)]), "model: expected object, got array"),
        (lambda s: s["model"].update({"weight": 3}), "expected Tensor, got int"),
        (lambda s: s.update(optimizer={"average": torch.zeros(3)}), "has no attribute 'keys'|expected object"),
        (lambda s: torch.zeros(3), r"holds no run's state \(a Tensor\)"),
    ],
)
def test_a_state_of_another_kind_is_refused(tmp_path: Path, change: Callable[[dict], object], message: str) -> None:
    run(tmp_path, 2)
    file = checkpoints(tmp_path)[-1]
    state = read_checkpoint(file)
    changed = change(state)
    file.unlink()
    file.with_suffix(".json").unlink()
    torch.save(changed if message.startswith("holds") else state, file)
    manifest = {"step": 2, "bytes": file.stat().st_size, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    file.with_suffix(".json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match=message) as caught:
        run(tmp_path, 4)
    assert str(caught.value).startswith(f"checkpoint {file}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: [1], "expected object, got array"),
        (lambda c: {**c, "settings": [None]}, "settings: expected object, got array"),
        (lambda c: {k: v for k, v in c.items() if k != "settings"}, "lacks the entry settings"),
        (lambda c: {**c, "launches": 5}, "launches: expected array, got int"),
        (lambda c: {**c, "launches": [5]}, "launches.*expected object"),
        (lambda c: {**c, "version": "1"}, "version: expected int, got str"),
        (lambda c: {**c, "kind": "tokenizer"}, "holds tokenizer, not toy"),
    ],
)
def test_a_run_file_of_another_kind_is_refused(tmp_path: Path, change: Callable[[dict], object], message: str) -> None:
    open_run(tmp_path / "run", "toy", {"lr": 1})
    file = tmp_path / "run" / "run.json"
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    with pytest.raises(RunError, match=message):
        open_run(tmp_path / "run", "toy", {"lr": 1})
