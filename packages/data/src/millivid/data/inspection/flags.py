"""What would spoil training: one flag per kind of defect, each a sentence with what was found, why, and what to do."""

from collections.abc import Callable, Iterable, Sequence

from .findings import Flag, Inspection, Severity, VideoNumbers
from .motion import JUMP

BLANK_SHARE = 0.25
"""Share of a video's sampled frames that are of one colour, from which on it is flagged; a wall may fill one frame."""
FROZEN_SHARE = 0.25
"""Share of the sampled neighbours that should differ and do not, from which on a video is flagged; two at least."""
STUCK_SHARE = 0.1
"""Share of a video's frames in stretches of being stuck, above which it is flagged."""
DOMINANT_SHARE = 0.95
"""Share of all frames above which one action leaves too little of the others."""
SHORT_SHARE = 0.25
"""Share of the median length below which a video is much shorter than the others."""
NAMED = 3
"""Videos that a sentence names; the flag has all of them."""


def find_flags(inspection: Inspection) -> tuple[Flag, ...]:
    """All flags of an inspection, problems first."""
    found = [
        *_unreadable(inspection),
        *_splits(inspection),
        *_lengths(inspection),
        *_copies(inspection),
        *_pictures(inspection),
        *_poses(inspection),
        *_actions(inspection),
    ]
    return tuple(sorted(found, key=lambda flag: flag.severity != "problem"))


def _unreadable(inspection: Inspection) -> Iterable[Flag]:
    if not inspection.videos:
        yield _flag("empty", "problem", "The dataset has no videos: there is nothing to train on. Record some.")
    if broken := [video for video in inspection.videos if video.error is not None]:
        which = _which(broken, inspection)
        sentence = f"Damaged files of {which}: training ends when it comes to them. The first: {broken[0].error}"
        yield _flag("unreadable", "problem", sentence, broken)


def _splits(inspection: Inspection) -> Iterable[Flag]:
    if not inspection.videos:
        return
    names = [split.name for split in inspection.splits]
    if "train" not in names:
        sentence = f"No split is named train (there is {_listed(names)}): there is nothing to train on. Name one so."
        yield _flag("no_train", "problem", sentence)
    if "test" not in names:
        sentence = "No split is named test: a model can only be judged by videos that it was trained on. Hold some out."
        yield _flag("no_test", "remark", sentence)
    if empty := [split.name for split in inspection.splits if not split.videos]:
        yield _flag("empty_split", "remark", f"Nothing is in the split {_listed(empty)}. Fill it, or leave it out.")
    if loose := [video for video in inspection.videos if video.split is None]:
        sentence = f"No split has {_which(loose, inspection)}: nothing is done with them. Put them in one."
        yield _flag("no_split", "remark", sentence, loose)


def _lengths(inspection: Inspection) -> Iterable[Flag]:
    if single := [video for video in inspection.videos if video.frames < 2]:
        sentence = f"Fewer than 2 frames in {_which(single, inspection)}: nothing happens in them. Leave them out."
        yield _flag("single_frame", "problem", sentence, single)
    median = inspection.lengths.median if inspection.lengths else 0
    if short := [video for video in inspection.videos if 2 <= video.frames < SHORT_SHARE * median]:
        sentence = (
            f"Much shorter than the others (from {min(v.frames for v in short):,} frames on; the median is "
            f"{median:,g}): {_which(short, inspection)}. No long window fits into them. Record them again, or leave them out."
        )
        yield _flag("short", "remark", sentence, short)


def _copies(inspection: Inspection) -> Iterable[Flag]:
    by_id = {video.id: video for video in inspection.videos}
    for kind, groups, what in (
        ("duplicate", inspection.duplicates, "Equal files of"),
        ("near_duplicate", inspection.near_duplicates, "Equal actions and nearly equal frames in"),
    ):
        if groups:
            videos = [by_id[id] for group in groups for id in group]
            sentence = (
                f"{what} {_which(videos, inspection, groups[0])}: what is there twice counts twice in training. Keep one of "
                "each; a seed that was used twice makes such copies."
            )
            yield _flag(kind, "problem", sentence, videos)
    groups = (*inspection.duplicates, *inspection.near_duplicates)
    if leaks := [group for group in groups if len({by_id[id].split for id in group}) > 1]:
        videos = [by_id[id] for group in leaks for id in group]
        sentence = (
            f"Copies in different splits of {_which(videos, inspection, leaks[0])}: a test would ask for what was trained "
            "on. Take them out of one of the splits."
        )
        yield _flag("leak", "problem", sentence, videos)


def _pictures(inspection: Inspection) -> Iterable[Flag]:
    sampled = [video for video in inspection.videos if video.sampled_frames]

    def flag(kind: str, is_so: Callable[[VideoNumbers], bool], what: str, why: str) -> Iterable[Flag]:
        if found := [video for video in sampled if is_so(video)]:
            yield _flag(kind, "problem", f"{what} {_which(found, inspection, sampled=len(sampled))}: {why}", found)

    yield from flag(
        "black",
        lambda video: bool(video.black),
        "Black frames in",
        "a model learns from them to go black. Look at them on the page; cut or record them again, or leave them out.",
    )
    yield from flag(
        "blank",
        lambda video: (video.blank or 0) >= max(2, BLANK_SHARE * (video.sampled_frames or 0)),
        "Frames of a single colour in",
        "the camera is inside of something, or the picture was not drawn. Look at them on the page; record them again, or "
        "leave them out.",
    )
    yield from flag(
        "frozen",
        _frozen,
        "Neighbouring frames that are the same where they should differ, in",
        "actions seem to do nothing there. A recorder that hangs or repeats frames does this; record them again, or leave "
        "them out.",
    )


def _frozen(video: VideoNumbers) -> bool:
    pairs, still = video.moving_pairs or 0, video.still_pairs or 0
    if video.distance is None:  # without poses, nobody knows when a picture should change
        return pairs >= 2 and still == pairs
    return still >= max(2, FROZEN_SHARE * pairs)


def _poses(inspection: Inspection) -> Iterable[Flag]:
    travel, videos = inspection.travel, inspection.videos
    if wrong := [video for video in videos if video.nan_poses]:
        sentence = (
            f"Poses that are NaN or infinite (frames: {sum(v.nan_poses or 0 for v in wrong):,}) in "
            f"{_which(wrong, inspection)}: what is computed from them will be so too. Record them again, or give the "
            "dataset no poses."
        )
        yield _flag("nan_poses", "problem", sentence, wrong)
    if travel is None or not any(video.distance is not None for video in videos):
        return
    if travel.step == 0 and travel.turn == 0:
        sentence = (
            "The poses never change, in no video: nothing moves, or they were not recorded. A dataset without poses has "
            "none (pose_names=[])."
        )
        yield _flag("motionless", "problem", sentence)
        return
    if stuck := [video for video in videos if (video.stuck or 0) > STUCK_SHARE]:
        share = sum((v.stuck or 0) * v.frames for v in stuck) / sum(v.frames for v in stuck)
        sentence = (
            f"A stuck agent in {_which(stuck, inspection)}: in {share:.0%} of their frames, for a second and longer, it does "
            "what elsewhere moves the camera, which stays as it is; a model learns that actions do nothing. Record them "
            "again on free ground, or cut them."
        )
        yield _flag("stuck", "problem", sentence, stuck)
    if jumping := [video for video in videos if video.jumps]:
        sentence = (
            f"A camera that jumps (frames more than {JUMP:g} usual steps away from the one before: "
            f"{sum(v.jumps or 0 for v in jumping):,}) in {_which(jumping, inspection)}: no action explains that. Cut them "
            "where the camera was set elsewhere, such as where a new episode began."
        )
        yield _flag("jump", "problem", sentence, jumping)


def _actions(inspection: Inspection) -> Iterable[Flag]:
    actions = inspection.actions
    if all(video.error is not None for video in inspection.videos):
        return
    if unused := [action.name for action in actions if not action.frames]:
        sentence = (
            f"Never taken, of {len(actions):,} actions: {_listed(unused)}. A model cannot learn what they do. Record videos "
            "with them, or leave the names out."
        )
        yield _flag("unused_action", "remark", sentence)
    if len(actions) > 1 and (most := max(actions, key=lambda action: action.share)).share > DOMINANT_SHARE:
        sentence = (
            f"The action {most.name} is taken in {most.share:.1%} of all frames: there is little to learn the others from. "
            "Record videos that mix them."
        )
        yield _flag("dominant_action", "problem", sentence)
    if constant := [component.name for component in inspection.components if component.low == component.high]:
        sentence = f"Never changes: {_listed(constant)}. A model cannot learn what it does. Vary it, or leave it out."
        yield _flag("constant_component", "remark", sentence)


def _flag(kind: str, severity: Severity, sentence: str, videos: Sequence[VideoNumbers] = ()) -> Flag:
    ids = tuple(dict.fromkeys(video.id for video in videos))
    return Flag(kind=kind, severity=severity, videos=ids, sentence=sentence)


def _which(
    videos: Sequence[VideoNumbers], inspection: Inspection, copies: Sequence[str] = (), *, sampled: int | None = None
) -> str:
    """How many videos, of how many, and which. copies: ids that are named as equal to each other."""
    ids = list(dict.fromkeys(video.id for video in videos))
    every, word = len(inspection.videos), "videos"
    if sampled is not None and sampled < every:
        every, word = sampled, "sampled videos"
    names = (
        " = ".join(copies[:NAMED]) + ("" if len(ids) == len(copies) <= NAMED else ", ...") if copies else _listed(ids)
    )
    return f"{len(ids):,} of {every:,} {word} ({names})"


def _listed(names: Sequence[str]) -> str:
    """The first few names, and how many more."""
    some = ", ".join(names[:NAMED]) or "none"
    return f"{some} and {len(names) - NAMED:,} more" if len(names) > NAMED else some
