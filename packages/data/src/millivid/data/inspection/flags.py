"""What would spoil training: one flag per kind of defect, each a sentence with what was found, why, and what to do."""

from collections.abc import Callable, Sequence

from .findings import Flag, Inspection, Row, Severity
from .tables import JUMP

BLANK_SHARE = 0.25  # of a video's sampled frames that are of one colour, at least; a wall may fill one frame
FROZEN_SHARE = 0.25  # of the sampled neighbours that should differ and do not, at least; two in any case
STUCK_SHARE = 0.1  # of a video's frames in stretches of being stuck, above which it is flagged
DOMINANT_SHARE = 0.95  # of all frames above which one action leaves too little of the others
SHORT_SHARE = 0.25  # of the median length below which a video is much shorter than the others
NAMED = 3  # videos that a sentence names; the flag has all of them

PROBLEMS = {  # spoil training or its evaluation
    "empty": "The dataset has no videos: there is nothing to train on. Record some.",
    "unreadable": "Damaged files of {which}: training ends when it comes to them. The first: {error}",
    "no_train": "No split is named train (there is {names}): there is nothing to train on. Name one so.",
    "single_frame": "Fewer than 2 frames in {which}: nothing happens in them. Leave them out.",
    "duplicate": "Equal files of {which}: what is there twice counts twice in training. Keep one of each; a seed that was "
    "used twice makes such copies.",
    "near_duplicate": "Equal actions and nearly equal frames in {which}: what is there twice counts twice in training. "
    "Keep one of each; a seed that was used twice makes such copies.",
    "leak": "Copies in different splits of {which}: a test would ask for what was trained on. Take them out of one of the "
    "splits.",
    "black": "Black frames in {which}: a model learns from them to go black. Look at them on the page; cut or record them "
    "again, or leave them out.",
    "blank": "Frames of a single colour in {which}: the camera is inside of something, or the picture was not drawn. Look "
    "at them on the page; record them again, or leave them out.",
    "frozen": "Neighbouring frames that are the same where they should differ, in {which}: actions seem to do nothing "
    "there. A recorder that hangs or repeats frames does this; record them again, or leave them out.",
    "nan_poses": "Poses that are NaN or infinite (frames: {nan_poses:,}) in {which}: what is computed from them will be so "
    "too. Record them again, or give the dataset no poses.",
    "motionless": "The poses never change, in no video: nothing moves, or they were not recorded. A dataset without poses "
    "has none (pose_names=[]).",
    "stuck": "A stuck agent in {which}: in {stuck:.0%} of their frames, for a second and longer, it does what elsewhere "
    "moves the camera, which stays as it is; a model learns that actions do nothing. Record them again on free ground, or "
    "cut them.",
    "jump": "A camera that jumps (frames more than {jump:g} usual steps away from the one before: {jumps:,}) in {which}: no "
    "action explains that. Cut them where the camera was set elsewhere, such as where a new episode began.",
    "dominant_action": "The action {name} is taken in {share:.1%} of all frames: there is little to learn the others from. "
    "Record videos that mix them.",
}
REMARKS = {  # may be meant to be so
    "no_test": "No split is named test: a model can only be judged by videos that it was trained on. Hold some out.",
    "empty_split": "Nothing is in the split {names}. Fill it, or leave it out.",
    "no_split": "No split has {which}: nothing is done with them. Put them in one.",
    "short": "Much shorter than the others (from {frames:,} frames on; the median is {median:,g}): {which}. No long window "
    "fits into them. Record them again, or leave them out.",
    "unused_action": "Never taken, of {count:,} actions: {names}. A model cannot learn what they do. Record videos with "
    "them, or leave the names out.",
    "constant_component": "Never changes: {names}. A model cannot learn what it does. Vary it, or leave it out.",
}

Found = dict[str, tuple[tuple[str, ...], Row]]
"""By kind, the ids of the videos and what stands in the sentence."""


def find_flags(inspection: Inspection) -> tuple[Flag, ...]:
    """All flags of an inspection, problems first."""
    found = {**_dataset_flags(inspection), **_video_flags(inspection), **_copy_flags(inspection)}
    sentences: dict[Severity, dict[str, str]] = {"problem": PROBLEMS, "remark": REMARKS}
    return tuple(
        Flag(kind=kind, severity=severity, videos=found[kind][0], sentence=sentence.format(**found[kind][1]))
        for severity, some in sentences.items()
        for kind, sentence in some.items()
        if kind in found
    )


def _dataset_flags(inspection: Inspection) -> Found:
    videos, actions, travel = inspection.videos, inspection.actions, inspection.travel
    if not videos:
        return {"empty": ((), {})}
    empty = [split["name"] for split in inspection.splits if not split["videos"]]
    splits = [split["name"] for split in inspection.splits]
    readable = any("error" not in video for video in videos)
    unused = [row["name"] for row in actions if readable and not row["frames"]]
    constant = [row["name"] for row in inspection.components if readable and row["low"] == row["high"]]
    most: Row = max(actions, key=lambda row: row["share"], default={"name": "", "share": 0.0})
    still = travel is not None and travel.step == travel.turn == 0 and any("distance" in video for video in videos)
    found: dict[str, tuple[object, Row]] = {
        "no_train": ("train" not in splits, {"names": _listed(splits)}),
        "no_test": ("test" not in splits, {}),
        "empty_split": (empty, {"names": _listed(empty)}),
        "motionless": (still, {}),
        "unused_action": (unused, {"names": _listed(unused), "count": len(actions)}),
        "dominant_action": (len(actions) > 1 and most["share"] > DOMINANT_SHARE, most),
        "constant_component": (constant, {"names": _listed(constant)}),
    }
    return {kind: ((), values) for kind, (is_so, values) in found.items() if is_so}


def _video_flags(inspection: Inspection) -> Found:
    median = inspection.lengths["median"] if inspection.lengths else 0
    images = inspection.index.source.get("imported_from") == "images"
    defects: dict[str, Callable[[Row], bool]] = {
        "unreadable": lambda video: "error" in video,
        "single_frame": lambda video: video["frames"] < 2 and not images,
        "short": lambda video: 2 <= video["frames"] < SHORT_SHARE * median,
        "no_split": lambda video: video["split"] is None,
        "black": lambda video: video.get("black", 0) > 0,
        "blank": lambda video: video.get("blank", 0) >= max(2, BLANK_SHARE * video.get("sampled_frames", 0)),
        "frozen": _frozen,
        "nan_poses": lambda video: video.get("nan_poses", 0) > 0,
        "stuck": lambda video: video.get("stuck", 0) > STUCK_SHARE,
        "jump": lambda video: video.get("jumps", 0) > 0,
    }
    sampled, found = sum("sampled_frames" in video for video in inspection.videos), Found()
    for kind, is_defect in defects.items():
        videos = [video for video in inspection.videos if is_defect(video)]
        if videos:
            ids, frames = tuple(video["id"] for video in videos), [video["frames"] for video in videos]
            of_sampled = kind in ("black", "blank", "frozen") and sampled < len(inspection.videos)
            every = f"{sampled:,} sampled" if of_sampled else f"{len(inspection.videos):,}"
            found[kind] = (
                ids,
                {
                    "which": f"{len(ids):,} of {every} videos ({_listed(ids)})",
                    "error": videos[0].get("error"),
                    "frames": min(frames),
                    "median": median,
                    "stuck": sum(video.get("stuck", 0) * video["frames"] for video in videos) / sum(frames),
                    "nan_poses": sum(video.get("nan_poses", 0) for video in videos),
                    "jumps": sum(video.get("jumps", 0) for video in videos),
                    "jump": JUMP,
                },
            )
    return found


def _frozen(video: Row) -> bool:
    pairs, still = video.get("moving_pairs", 0), video.get("still_pairs", 0)
    if "distance" not in video:  # without poses, nobody knows when a picture should change
        return bool(pairs >= 2 and still == pairs)
    return bool(still >= max(2, FROZEN_SHARE * pairs))


def _copy_flags(inspection: Inspection) -> Found:
    split_of = {video["id"]: video["split"] for video in inspection.videos}
    equal, near, found = inspection.duplicates, inspection.near_duplicates, Found()
    leaks = tuple(group for group in (*equal, *near) if len({split_of[id] for id in group}) > 1)
    for kind, groups in {"duplicate": equal, "near_duplicate": near, "leak": leaks}.items():
        if groups:
            ids = tuple(dict.fromkeys(id for group in groups for id in group))
            more = "" if len(ids) == len(groups[0]) <= NAMED else ", ..."
            which = f"{len(ids):,} of {len(split_of):,} videos ({' = '.join(groups[0][:NAMED])}{more})"
            found[kind] = ids, {"which": which}
    return found


def _listed(names: Sequence[str]) -> str:
    """The first few names, and how many more."""
    some = ", ".join(names[:NAMED]) or "none"
    return f"{some} and {len(names) - NAMED:,} more" if len(names) > NAMED else some
