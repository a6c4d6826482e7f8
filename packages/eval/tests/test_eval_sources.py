"""Video files read exactly, frame by frame, and bad folders are named."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from eval_worlds import moving_discs, truth_and_run

from millivid.eval import EvaluationError, evaluate, open_videos
from millivid.eval.sources import FolderOfVideos

av = pytest.importorskip("av", reason="video files need av: pip install av")
data = pytest.importorskip("millivid.data", reason="video files and clip datasets need millivid-data")


def write_video(path: Path, frames: np.ndarray, codec: str = "libx264", options: dict[str, str] | None = None) -> None:
    # The index first, so that it survives when a file is cut short.
    with av.open(str(path), "w", options={"movflags": "+faststart"} if path.suffix == ".mp4" else {}) as container:
        stream = container.add_stream(codec, rate=Fraction(12))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.options = options or {}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("long.mp4", "libx264", {"crf": "10"}),  # one key frame, B-frames
        ("short.mp4", "libx264", {"crf": "10", "g": "8", "bf": "3"}),
        ("open.mp4", "libx264", {"crf": "10", "g": "8", "x264-params": "open-gop=1:bframes=3"}),
        ("vp9.webm", "libvpx-vp9", {"crf": "10", "g": "8", "cpu-used": "8", "deadline": "realtime"}),
    ],
)
def test_any_frame_reads_as_in_one_pass(tmp_path: Path, name: str, codec: str, options: dict[str, str]) -> None:
    write_video(tmp_path / name, moving_discs(0, frames=40), codec, options)
    with av.open(str(tmp_path / name)) as container:
        expected = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    source = FolderOfVideos(tmp_path)
    id = Path(name).stem
    assert source.ids() == [id] and source.num_frames(id) == 40 and source.rate(id) == pytest.approx(12)
    for start, stop in ((0, 40), (39, 40), (0, 1), (7, 9), (9, 20), (20, 33), (24, 25), (20, 21)):
        np.testing.assert_array_equal(source.read(id, start, stop), expected[start:stop])
    with pytest.raises(EvaluationError, match=r"\[30, 41\).*\[0, 40\)"):
        source.read(id, 30, 41)


def test_folders_go_in_and_their_codec_comes_out(tmp_path: Path) -> None:
    reference, run = truth_and_run(2)
    for name, source in (("truth", reference), ("run", run)):
        (tmp_path / name).mkdir()
        for id in source.ids():
            write_video(tmp_path / name / f"{id}.mp4", source.read(id, 0, 24), options={"crf": "10"})
    opened = {name: open_videos(tmp_path / name) for name in ("truth", "run")}
    results = evaluate({"run": opened["run"]}, opened["truth"], start=8, metrics=["psnr"], progress=False)
    assert results.fps == pytest.approx(12)
    curve = results.scores["run"]["psnr"].curve
    assert curve[0] > 20 > curve[-1] > 5
    assert opened["run"].describe()["codec"] == "h264"


def test_bad_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no video files"):
        open_videos(tmp_path)
    with pytest.raises(EvaluationError, match="is not a folder"):
        open_videos(tmp_path / "none")
    (tmp_path / "broken.mp4").write_bytes(b"not a video" * 100)
    source = open_videos(tmp_path)
    with pytest.raises(data.DatasetError, match=r"broken\.mp4: cannot be read as a video"):
        source.num_frames("broken")
    with pytest.raises(EvaluationError, match="no video 'lost'"):
        source.num_frames("lost")
    (tmp_path / "broken.webm").touch()
    with pytest.raises(EvaluationError, match=r"broken\.mp4 and broken\.webm have one id"):
        open_videos(tmp_path)
    with pytest.raises(EvaluationError, match="no split 'test'"):
        open_videos(tmp_path, split="test")


def test_a_link_to_nothing_is_not_left_out(tmp_path: Path) -> None:
    write_video(tmp_path / "cafe\u0301.mp4", moving_discs(0, frames=4))
    assert FolderOfVideos(tmp_path).ids() == ["caf\u00e9"]
    (tmp_path / "b").symlink_to("a drive that is away")
    with pytest.raises(EvaluationError, match="b is a link to nothing"):
        FolderOfVideos(tmp_path)


def test_a_shortened_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    write_video(path, np.random.default_rng(0).integers(0, 256, (60, 64, 64, 3), dtype=np.uint8))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    source = FolderOfVideos(tmp_path)
    with pytest.raises(data.DatasetError, match=r"cut\.mp4"):
        source.read("cut", 0, 60)


def test_a_clip_dataset_opens_by_its_index(tmp_path: Path) -> None:
    writer = data.ClipWriter(tmp_path / "clips", fps=12, size=(32, 32), action_names=("forward",), source={"seed": 0})
    for i in range(3):
        frames = moving_discs(i)
        writer.write(
            f"v{i}",
            data.Clip(frames=frames, actions=np.zeros(24, np.int64), poses=np.zeros((24, 5), np.float32)),
        )
    writer.finish({"train": ["v0"], "test": ["v1", "v2"]})
    source = open_videos(tmp_path / "clips", split="test")
    assert source.ids() == ["v1", "v2"] and source.rate("v1") == 12 and source.num_frames("v2") == 24
    assert open_videos(tmp_path / "clips").ids() == ["v0", "v1", "v2"]
    read = source.read("v1", 5, 9)
    assert read.shape == (4, 32, 32, 3) and read.dtype == np.uint8
    with pytest.raises(data.DatasetError, match="no split 'val'.*'test', 'train'"):
        open_videos(tmp_path / "clips", split="val")
    with pytest.raises(data.DatasetError, match="24 frames; frames 20 to 30"):
        source.read("v1", 20, 30)


def write_images(folder: Path, frames: np.ndarray, name: str = "frame_{}.png") -> None:
    image = pytest.importorskip("PIL.Image", reason="images need Pillow: pip install pillow")
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        image.fromarray(frame).save(folder / name.format(number), **({"lossless": True} if "webp" in name else {}))


def test_folders_of_images_are_videos_beside_files(tmp_path: Path) -> None:
    frames = moving_discs(0, frames=12)
    write_images(tmp_path / "a", frames)
    write_images(tmp_path / "c", frames[..., 0], "{}.webp")  # grey
    write_video(tmp_path / "b.mp4", frames)
    (tmp_path / "scores").mkdir()
    (tmp_path / "a" / "notes.txt").touch()
    source = open_videos(tmp_path)
    assert source.ids() == ["a", "b", "c"] and source.num_frames("a") == 12
    assert source.rate("a") is None and source.rate("b") == 12
    np.testing.assert_array_equal(source.read("a", 1, 12), frames[1:12])  # 10 after 9, not after 1
    np.testing.assert_array_equal(source.read("c", 3, 5), np.repeat(frames[3:5, ..., :1], 3, axis=3))
    assert source.describe() == {"kind": "folder of videos", "codec": "png"}
    before = source.fingerprint("a")
    (tmp_path / "a" / "frame_11.png").write_bytes((tmp_path / "a" / "frame_10.png").read_bytes())
    assert open_videos(tmp_path).fingerprint("a") != before
    results = evaluate({"run": source}, source, start=4, ids=["a", "c"], metrics=["psnr"], progress=False)
    assert results.fps is None and results.num_frames == 8


def test_bad_images_are_named(tmp_path: Path) -> None:
    frames = moving_discs(0, frames=4)
    write_images(tmp_path / "a", frames)
    write_images(tmp_path / "b", frames)
    write_images(tmp_path / "wider", moving_discs(0, frames=1, width=40), "{}.png")
    (tmp_path / "wider" / "0.png").replace(tmp_path / "a" / "frame_2.png")
    (tmp_path / "b" / "frame_1.png").write_bytes(b"no image")
    write_images(tmp_path / "deep", np.full((1, 32, 32), 40000, np.uint16))
    source = open_videos(tmp_path)
    assert source.ids() == ["a", "b", "deep"]
    with pytest.raises(EvaluationError, match=r"deep/frame_0.png .* more than 8 bits; save it with 8"):
        source.read("deep", 0, 1)
    for start in (0, 2):
        with pytest.raises(EvaluationError, match=r"a/frame_2.png is 40x32, but frame_0.png is 32x32; .* one size"):
            source.read("a", start, 4)
    with pytest.raises(EvaluationError, match=r"b/frame_1.png cannot be read as an image"):
        source.read("b", 0, 2)
    write_video(tmp_path / "b.mp4", frames)
    with pytest.raises(EvaluationError, match=r"b and b\.mp4 have one id"):
        open_videos(tmp_path)
