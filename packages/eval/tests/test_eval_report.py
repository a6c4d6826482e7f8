"""A report is complete, self-contained, honest about what is missing, and never harms what is not its own."""

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eval_worlds import moving_discs, truth_and_run
from test_eval_sets import MeanColours

from millivid.eval import (
    Evaluation,
    EvaluationError,
    OtherVideos,
    Results,
    VideosInMemory,
    VideoSource,
    check_report_folder,
    horizons_from,
    read_results,
    summarise,
    write_report,
)

for module in ("av", "matplotlib", "PIL", "jinja2"):
    pytest.importorskip(module, reason=f"reports need {module}: pip install {module}")
import av  # noqa: E402
from PIL import Image  # noqa: E402

from millivid.eval.reporting.pictures import Shown, draw_recall, returned, strip_frames  # noqa: E402
from millivid.eval.reporting.plots import draw_memory  # noqa: E402
from millivid.eval.reporting.style import run_styles  # noqa: E402
from millivid.eval.reporting.tables import markdown_text  # noqa: E402

Scored = tuple[Evaluation, Results]


def _evaluated(runs: Mapping[str, VideoSource], reference: VideoSource, **settings: Any) -> Scored:
    evaluation = Evaluation.of(runs, reference, **settings)
    return evaluation, summarise(evaluation, progress=False)


def _scored(ids: tuple[str, ...] = ("world_0", "world_1"), **shape: int) -> Scored:
    truth, run = truth_and_run(len(ids), **shape)
    stop = truth.num_frames("world_0")
    reference = VideosInMemory({new: truth.read(f"world_{i}", 0, stop) for i, new in enumerate(ids)}, fps=10)
    ours = VideosInMemory({new: run.read(f"world_{i}", 0, stop) for i, new in enumerate(ids)}, fps=10)
    runs: dict[str, VideoSource] = {"ours": ours, "other": OtherVideos(reference, keep=8)}
    return _evaluated(
        runs,
        reference,
        start=8,
        horizons=horizons_from((4, 16)),
        metrics=["psnr", "ssim"],
        bounds=["other"],
        descriptions={"other": "frames of other videos"},
        settings={"seed": 7, "note": "</script><b>"},
    )


@pytest.fixture(scope="module")
def scored() -> Scored:
    return _scored()


@pytest.fixture(scope="module")
def report(scored: Scored, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "out"
    index = write_report(*scored, out, title="Ours & <theirs>")
    assert index == out / "index.html"
    return out


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.media: list[tuple[str, str]] = []
        self.tags: list[str] = []
        self.script = ""
        self._in_data = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        self.links += [v for k in ("src", "href", "srcset", "poster") if (v := values.get(k))]
        self.media += [(tag, v) for k in ("src", "srcset", "poster") if (v := values.get(k))]
        self._in_data = tag == "script" and values.get("type") == "application/json"

    def handle_data(self, data: str) -> None:
        if self._in_data:
            self.script += data

    def handle_endtag(self, tag: str) -> None:
        self._in_data = False


def test_every_file_is_there_and_listed(report: Path) -> None:
    found = {p.relative_to(report).as_posix() for p in report.rglob("*") if p.is_file()}
    assert found == {
        "curves.png", "curves.svg", "index.html", "metrics.json", "metrics.md",
        "strip.png",
        "videos/world_0.mp4", "videos/world_1.mp4",
    }  # fmt: skip
    assert set(json.loads((report / "metrics.json").read_text())["files"]) == found
    assert [p.name for p in report.parent.iterdir()] == ["out"]  # nothing temporary is left


def test_metrics_json_holds_figures_and_protocol(report: Path, scored: Scored) -> None:
    content = json.loads((report / "metrics.json").read_text())
    results = scored[1]
    assert (content["format"], content["version"], content["videos"]) == ("millivid.eval.report", 2, 2)
    assert content["roles"] == {"ours": "run", "other": "bound"}
    figure = content["runs"]["ours"]["psnr"]["horizons"]["long"]["value"]
    assert figure == pytest.approx(results.scores["ours"]["psnr"].horizons["long"].value, rel=1e-5)
    assert len(content["runs"]["other"]["ssim"]["curve"]) == 16
    protocol = content["protocol"]
    assert protocol["settings"]["seed"] == 7 and protocol["context_frames"] == 8 and protocol["sizes"] == [[32, 32]]
    assert protocol["versions"]["torch"] and protocol["runs"]["other"]["kind"] == "frames of other videos"


def test_the_table_has_a_row_for_every_run_and_a_column_for_every_horizon(report: Path) -> None:
    lines = (report / "metrics.md").read_text().splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert table[0] == "| PSNR ↑ | short 1–4 | long 5–16 |" and table[4].startswith("| SSIM ↑ | short 1–4 |")
    assert table[2].startswith("| ours |") and table[3].startswith("| *other* (bound) |")
    assert len({line.count("|") for line in table[:4]}) == 1
    assert "nan" not in "".join(table)


def test_the_page_needs_nothing_from_outside(report: Path) -> None:
    text = (report / "index.html").read_text()
    page = _Links()
    page.feed(text)
    assert page.links
    for link in page.links:
        assert link.startswith("data:") or (report / link).is_file(), link[:80]
    shown = [link for tag, link in page.media]
    assert len(shown) == 3 and all(link.startswith("data:") for link in shown)  # nothing that is shown is another file
    assert not re.search(r"https?:|@import|url\(|\bfetch\(|XMLHttpRequest", text)
    assert "<title>Ours &amp; &lt;theirs&gt;</title>" in text
    assert "b" not in page.tags or "</script><b>" not in text  # names in the data cannot end the script
    data = json.loads(page.script)
    assert data["context"] == 8 and data["total"] == 24 and data["videos"] == ["world_0", "world_1"]
    assert len(data["runs"][0]["videos"]["psnr"][1]) == 16


def test_the_videos_play_and_show_context_and_truth(report: Path, scored: Scored) -> None:
    with av.open(str(report / "videos" / "world_0.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.width % 2 == 0 and stream.height % 2 == 0 and float(stream.average_rate or 0) == pytest.approx(10)
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(frames) == 24
    # The truth is the left panel, from (8, 34), enlarged 8 times: its pixel centres are the video's.
    truth = scored[0].reference.read("world_0", 0, 24)
    for t in (3, 20):
        panel = frames[t][34 : 34 + 256, 8 : 8 + 256][4::8, 4::8].astype(int)
        assert np.abs(panel - truth[t])[2:-2, 2:-2].mean() < 8
    edges = [frame[35, 8 + 100 : 8 + 150].astype(int).mean(axis=0) for frame in (frames[7], frames[8])]
    assert np.abs(edges[0] - (0xF2, 0xB0, 0x1E)).max() < 30  # yellow while it is context,
    assert np.abs(edges[1] - (0xF2, 0xB0, 0x1E)).max() > 30  # and not afterwards


def test_the_strip_shows_every_row_and_moment(report: Path) -> None:
    with Image.open(report / "strip.png") as image:
        assert image.width > 5 * 128 and image.height > 2 * 2 * 128
    assert strip_frames(16) == (1, 8, 16)
    assert strip_frames(128) == (1, 8, 16, 32, 64, 96, 128)
    assert strip_frames(1) == (1,) and strip_frames(20) == (1, 8, 16, 20)
    assert len(strip_frames(768)) == 7 and strip_frames(768)[0::6] == (1, 768)


def test_views_that_came_back_are_shown_beneath_what_the_context_showed(tmp_path: Path) -> None:
    # Frames are as bright as their number; 0 to 3 are given. 6 was last seen at 1, 7 at 0, 8 at 2, 9 at 5.
    yaws = np.array([0, 90, 180, 270, 45, 135, 90, 0, 180, 135])
    video = np.broadcast_to(np.arange(0, 250, 25, dtype=np.uint8)[:, None, None, None], (10, 32, 32, 3))
    poses = np.zeros((10, 5))
    poses[:, 3] = yaws
    truth = VideosInMemory({"a": video, "b": video}, fps=10, poses={"a": poses, "b": poses * 0})
    runs = {"ours": VideosInMemory({"a": video + 5, "b": video}, fps=10)}
    _, results = _evaluated(runs, truth, start=4, metrics=["psnr"])
    assert results.memory is not None
    assert returned(results.memory.seen["a"], 6) == (3, 7) and returned(results.memory.seen["b"], 1) is None
    assert returned(results.memory.seen["a"], 1) == (2, 5) and returned(results.memory.seen["a"]) is None
    path, shown = tmp_path / "recall.png", [Shown("truth", "#000000", truth), Shown("ours", "#0000ff", runs["ours"])]
    assert draw_recall(results, shown, ["a", "b"], path, away=6)
    column = np.asarray(Image.open(path).convert("L"))[:, -60]
    tiles = [int(column[20 + 32 + row * 134 + 64]) for row in range(3)]
    assert tiles == [0, 175, 180], "the context's frame 0, the truth, and what the run made of it"
    assert not draw_recall(results, shown, ["b"], tmp_path / "none.png", away=1)
    assert not (tmp_path / "none.png").exists()


def test_only_reports_are_overwritten(tmp_path: Path, scored: Scored) -> None:
    out = tmp_path / "out"
    out.mkdir()  # empty is fine
    write_report(*scored, out, title="first", strip_videos=1)
    (out / "notes.txt").write_text("mine")
    write_report(*scored, out, title="second", max_videos=1, strip_videos=0)
    assert json.loads((out / "metrics.json").read_text())["title"] == "second"
    assert (out / "notes.txt").read_text() == "mine"
    assert not (out / "videos" / "world_1.mp4").exists() and not (out / "strip.png").exists()
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "metrics.json").write_text('{"format": "something else"}')
    with pytest.raises(EvaluationError, match="something other than a report"):
        write_report(*scored, foreign, title="x")
    (tmp_path / "file").touch()
    with pytest.raises(EvaluationError, match="is a file"):
        write_report(*scored, tmp_path / "file", title="x")
    assert [p.name for p in foreign.iterdir()] == ["metrics.json"]


def test_a_failure_leaves_the_old_report_whole(tmp_path: Path, scored: Scored) -> None:
    evaluation, results = scored
    out = tmp_path / "out"
    write_report(*scored, out, title="first", max_videos=1, strip_videos=1)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}

    class Failing(VideosInMemory):
        def read(self, id: str, start: int, stop: int) -> np.ndarray:
            if start > 0:
                raise EvaluationError("cannot be read")
            return super().read(id, start, stop)

    short = Failing({id: moving_discs(i, frames=24) for i, id in enumerate(evaluation.ids)})
    broken = replace(evaluation, runs={**evaluation.runs, "ours": short})
    with pytest.raises(EvaluationError, match="cannot be read"):
        write_report(broken, results, out, title="second")
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_settings_that_do_not_fit_are_named(tmp_path: Path, scored: Scored) -> None:
    runs, reference = scored[0].runs, scored[0].reference
    for settings, message in (
        ({"bounds": ["lost"]}, "'lost', which is not a run"),
        ({"descriptions": {"lost": ""}}, "not a run"),
    ):
        with pytest.raises(EvaluationError, match=message):
            Evaluation.of(runs, reference, start=8, metrics=["psnr"], **settings)  # type: ignore[arg-type]
    with pytest.raises(EvaluationError, match="at least 1 video"):
        write_report(*scored, tmp_path / "out", title="x", max_videos=0)
    assert not list(tmp_path.iterdir())


def test_what_was_written_is_read_back(tmp_path: Path, scored: Scored) -> None:
    truth, _ = truth_and_run(3)
    videos = {id: truth.read(id, 0, 24) for id in truth.ids()}
    poses = np.zeros((24, 5))
    poses[:, 3] = np.arange(24) * 45
    reference = VideosInMemory(videos, fps=10, poses=dict.fromkeys(videos, poses))
    made = VideosInMemory({id: video // 2 for id, video in videos.items()}, fps=10)
    evaluation, results = _evaluated(
        {"ours": made, "truth": reference},
        reference,
        start=8,
        metrics=["psnr", "ssim", MeanColours()],
        bounds=["truth"],
    )
    assert results.memory is not None
    write_report(evaluation, results, tmp_path / "out", title="x", max_videos=1, strip_videos=0)
    read = read_results(tmp_path / "out" / "metrics.json")
    assert read.to_dict() == json.loads(json.dumps(results.to_dict()))
    assert read.runs == ["ours", "truth"] and read.figure("ours", "psnr", "all").value > 5
    (tmp_path / "metrics.json").write_text('{"format": "something else", "version": 2}')
    with pytest.raises(EvaluationError, match="is of format something else 2"):
        read_results(tmp_path / "metrics.json")
    (tmp_path / "metrics.json").write_text('{"format": "millivid.eval.report", "version": 2}')
    with pytest.raises(EvaluationError, match=r"is no metrics.json of a report \(.*lacks the entry ids"):
        read_results(tmp_path / "metrics.json")


def _first(content: dict[str, Any]) -> dict[str, Any]:
    return next(iter(content["runs"]["ours"]["psnr"]["horizons"].values()))


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(start="8"),
        lambda c: c.update(sizes=[[64]]),
        lambda c: c.update(metrics=[]),
        lambda c: c["metrics"]["psnr"].update(decimals=10**9),
        lambda c: c["metrics"]["psnr"].update(better="larger"),
        lambda c: c.update(runs=[1]),
        lambda c: c["runs"].pop("ours"),
        lambda c: c["runs"]["ours"].pop("psnr"),
        lambda c: c["runs"]["ours"]["psnr"]["horizons"].popitem(),
        lambda c: _first(c).update(value="many"),
        lambda c: _first(c).update(items="many"),
        lambda c: _first(c).update(interval=[1]),
        lambda c: c.update(memory=3),
        lambda c: c.update(horizons=[{"name": "all", "first": 0, "last": 1}]),
        lambda c: c.update(roles={"ours": "boss"}),
    ],
)
def test_results_of_another_kind_are_refused(
    change: Callable[[dict[str, Any]], object], tmp_path: Path, scored: Scored
) -> None:
    content = {"format": "millivid.eval.report", "version": 2, **json.loads(json.dumps(scored[1].to_dict()))}
    change(content)
    (tmp_path / "metrics.json").write_text(json.dumps(content))
    with pytest.raises(EvaluationError):
        read_results(tmp_path / "metrics.json")


def test_only_files_of_a_report_are_removed_whatever_the_old_one_lists(tmp_path: Path, scored: Scored) -> None:
    out = tmp_path / "out"
    write_report(*scored, out, title="first", max_videos=1, strip_videos=0)
    kept = [
        out / "thesis.txt",
        out / "stages" / "videos.mp4",
        tmp_path / "outside.mp4",
        tmp_path / "elsewhere" / "a.mp4",
    ]
    for path in kept:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    shutil.move(out / "videos", tmp_path / "videos")
    (out / "videos").symlink_to(tmp_path / "elsewhere")
    content = json.loads((out / "metrics.json").read_text())
    listed = [
        "thesis.txt",
        "stages/videos.mp4",
        "../outside.mp4",
        str(tmp_path / "outside.mp4"),
        "videos/a.mp4",
        "videos",
        3,
    ]
    (out / "metrics.json").write_text(json.dumps({**content, "files": listed}))
    assert check_report_folder(out) == []
    (out / "metrics.json").write_text(json.dumps({**content, "files": 3}))
    assert check_report_folder(out) == []
    assert all(path.read_text() == "mine" for path in kept)


def test_names_and_titles_stay_words(tmp_path: Path, scored: Scored) -> None:
    evaluation, results = scored
    odd = "<u>x</u> | `a` [b](javascript:1) $\\frac{1}$\n# c"
    assert markdown_text(odd) == r"\<u>x\</u> \| \`a\` [b\](javascript:1) $\\frac{1}$ # c"
    rename = {"ours": odd}
    odd_results = replace(
        results,
        roles={rename.get(run, run): role for run, role in results.roles.items()},
        scores={rename.get(run, run): scores for run, scores in results.scores.items()},
        descriptions={odd: odd},
        memory=None,
    )
    odd_evaluation = replace(evaluation, runs={rename.get(run, run): one for run, one in evaluation.runs.items()})
    write_report(odd_evaluation, odd_results, tmp_path / "out", title=odd, max_videos=1, strip_videos=1)
    text = (tmp_path / "out" / "metrics.md").read_text()
    assert text.startswith(f"# {markdown_text(odd)}\n\n") and f"- {markdown_text(f'{odd}: {odd}')}" in text
    assert not re.search(r"(?<!\\)<", text) and "<u>" not in (tmp_path / "out" / "index.html").read_text()


def test_one_frame_odd_sizes_and_odd_ids(tmp_path: Path) -> None:
    evaluation, results = _scored(ids=("a/b <i>", "a b&i", "ä"), frames=9, height=21, width=33)
    assert results.num_frames == 1
    write_report(evaluation, results, tmp_path / "out", title="one")
    names = sorted(p.name for p in (tmp_path / "out" / "videos").iterdir())
    assert names == ["a_b_i.mp4", "a_b_i_2.mp4", "video.mp4"]
    content = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert content["ids"] == ["a/b <i>", "a b&i", "ä"]
    assert "nan" not in (tmp_path / "out" / "metrics.md").read_text().lower()


def test_a_report_without_context_and_with_a_perfect_run(tmp_path: Path) -> None:
    reference = VideosInMemory({"v": moving_discs(0, frames=5, height=32, width=32)}, fps=10)
    write_report(
        *_evaluated({"truth": reference}, reference, start=0, metrics=["psnr"]), tmp_path / "out", title="perfect"
    )
    assert "∞" in (tmp_path / "out" / "metrics.md").read_text()
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["runs"]["truth"]["psnr"]["curve"] == [None] * 5


def test_missing_lpips_is_said_on_the_page(tmp_path: Path, scored: Scored) -> None:
    results = replace(scored[1], skipped={"lpips": "pip install the weights"})
    write_report(scored[0], results, tmp_path / "out", title="x", max_videos=1, strip_videos=1)
    assert "pip install the weights" in (tmp_path / "out" / "index.html").read_text()
    assert "pip install the weights" in (tmp_path / "out" / "metrics.md").read_text()
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["skipped"] == {
        "lpips": "pip install the weights"
    }


def test_an_infinite_interval_does_not_empty_the_plot(tmp_path: Path) -> None:
    truth, _ = truth_and_run(3)
    made = {id: truth.read(id, 0, 24).copy() for id in truth.ids()}
    made["world_0"][8:] //= 2  # the other two are perfect, so some draws of videos are
    poses = np.zeros((24, 5))
    poses[:, 3] = np.arange(24) * 45
    videos = {id: truth.read(id, 0, 24) for id in truth.ids()}
    reference = VideosInMemory(videos, fps=10, poses=dict.fromkeys(videos, poses))
    _, results = _evaluated({"a": VideosInMemory(made, fps=10)}, reference, start=8, metrics=["psnr"])
    assert results.memory is not None
    figure = results.memory.find("recall").figures["a"]["psnr"]  # type: ignore[union-attr]
    assert np.isfinite(figure.value) and figure.high == np.inf
    draw_memory(results, run_styles(results.roles), [tmp_path / "memory.png"])
    blue = np.asarray(Image.open(tmp_path / "memory.png").convert("RGB"))[:500]  # above the legend
    assert (np.abs(blue.astype(int) - (0x2F, 0x6D, 0xF6)).sum(axis=-1) < 30).sum() > 50


def test_a_report_that_was_killed_while_it_moved_can_be_written_again(scored: Scored, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "scores").mkdir()
    moved: list[str] = []
    move = os.replace

    def die(source: Path, target: Path) -> None:
        if len(moved) == 3:
            raise KeyboardInterrupt
        moved.append(Path(target).name)
        move(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            write_report(*scored, out, title="x", alongside=["scores"])
    assert len(list(out.iterdir())) < 6
    write_report(*scored, out, title="x", alongside=["scores"])
    assert (out / "index.html").is_file() and (out / "scores").is_dir()
