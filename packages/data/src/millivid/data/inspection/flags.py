"""What would spoil training: one flag per kind of defect, each a sentence with what was found, why, and what to do."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pandas as pd

from .inspection import NO_SPLIT, Flag, Inspection
from .tables import JUMP

BLANK_SHARE = 0.25  # of a video's sampled frames that are of one colour, at least; a wall may fill one frame
FROZEN_SHARE = 0.25  # of the sampled neighbours that should differ and do not, at least; two in any case
STUCK_SHARE = 0.1  # of a video's frames in stretches of being stuck, above which it is flagged
DOMINANT_SHARE = 0.95  # of all frames above which one action leaves too little of the others
SHORT_SHARE = 0.25  # of the median length below which a video is much shorter than the others
NAMED = 3  # videos that a sentence names; the flag has all of them

# A kind of defect, its severity, a table, which of its rows have the defect (or whether all do), and what is said of them:
# their `names`, their number and names as `videos` or as `sampled` videos, the `first`, `least` and `total` of their
# numbers, and of all rows the `count` and the `median` of frames.
Rule = tuple[str, Literal["problem", "remark"], str, Callable[[pd.DataFrame], Any], str]
RULES: list[Rule] = [
    ("empty", "problem", "dataset", lambda d: d.videos == 0,
         "The dataset has no videos: there is nothing to train on. Record some."),
    ("unreadable", "problem", "videos", lambda v: v.error.notna(),
         "Damaged files of {videos}: training ends when it comes to them. The first: {first.error}"),
    ("no_train", "problem", "splits", lambda s: "train" not in s.index,
         "No split is named train (there is {names}): there is nothing to train on. Name one so."),
    ("single_frame", "problem", "videos", lambda v: (v.frames < 2) & ~v.image,
         "Fewer than 2 frames in {videos}: nothing happens in them. Leave them out."),
    ("duplicate", "problem", "copies", lambda c: ~c.near.astype(bool),
         "Equal files of {videos}: what is there twice counts twice in training. Keep one of each; a seed that was used "
         "twice makes such copies."),
    ("near_duplicate", "problem", "copies", lambda c: c.near,
         "Equal actions and nearly equal frames in {videos}: what is there twice counts twice in training. Keep one of "
         "each; a seed that was used twice makes such copies."),
    ("leak", "problem", "copies", lambda c: c.splits > 1,
         "Copies in different splits of {videos}: a test would ask for what was trained on. Take them out of one of the "
         "splits."),
    ("black", "problem", "videos", lambda v: v.black > 0,
         "Black frames in {sampled}: a model learns from them to go black. Look at them on the page; cut or record them "
         "again, or leave them out."),
    ("blank", "problem", "videos", lambda v: v.blank >= (BLANK_SHARE * v.sampled_frames).clip(lower=2),
         "Frames of a single colour in {sampled}: the camera is inside of something, or the picture was not drawn. Look at "
         "them on the page; record them again, or leave them out."),
    ("frozen", "problem", "videos", lambda v: v.still_pairs >= _least_still(v),
         "Neighbouring frames that are the same where they should differ, in {sampled}: actions seem to do nothing there. "
         "A recorder that hangs or repeats frames does this; record them again, or leave them out."),
    ("nan_poses", "problem", "videos", lambda v: v.nan_poses > 0,
         "Poses that are NaN or infinite (frames: {total.nan_poses:,.0f}) in {videos}: what is computed from them will be "
         "so too. Record them again, or give the dataset no poses."),
    ("motionless", "problem", "dataset", lambda d: (d.step == 0) & (d.turn == 0),
         "The poses never change, in no video: nothing moves, or they were not recorded. A dataset without poses has none "
         "(pose_names=[])."),
    ("stuck", "problem", "videos", lambda v: v.stuck > STUCK_SHARE,
         "A stuck agent in {videos}: in {total.stuck_frames:,.0f} of their {total.frames:,.0f} frames, for a second and "
         "longer, it does what elsewhere moves the camera, which stays as it is; a model learns that actions do nothing. "
         "Record them again on free ground, or cut them."),
    ("jump", "problem", "videos", lambda v: v.jumps > 0,
         f"A camera that jumps (frames more than {JUMP:g} usual steps away from the one before: {{total.jumps:,.0f}}) in "
         "{videos}: no action explains that. Cut them where the camera was set elsewhere, such as where a new episode "
         "began."),
    ("dominant_action", "problem", "actions", lambda a: (a.share > DOMINANT_SHARE) & (len(a) > 1),
         "The action {names} is taken in {first.share:.1%} of all frames: there is little to learn the others from. Record "
         "videos that mix them."),
    ("no_test", "remark", "splits", lambda s: "test" not in s.index,
         "No split is named test: a model can only be judged by videos that it was trained on. Hold some out."),
    ("empty_split", "remark", "splits", lambda s: s.videos == 0,
         "Nothing is in the split {names}. Fill it, or leave it out."),
    ("no_split", "remark", "videos", lambda v: v.split == NO_SPLIT,
         "No split has {videos}: nothing is done with them. Put them in one."),
    ("short", "remark", "videos", lambda v: (v.frames >= 2) & (v.frames < SHORT_SHARE * v.frames.median()),
         "Much shorter than the others (from {least.frames:,.0f} frames on; the median is {median:,g}): {videos}. No long "
         "window fits into them. Record them again, or leave them out."),
    ("unused_action", "remark", "actions", lambda a: a.frames == 0,
         "Never taken, of {count:,} actions: {names}. A model cannot learn what they do. Record videos with them, or leave "
         "the names out."),
    ("constant_component", "remark", "actions", lambda a: a.low == a.high,
         "Never changes: {names}. A model cannot learn what it does. Vary it, or leave it out."),
]  # fmt: skip


def _least_still(videos: pd.DataFrame) -> pd.Series:
    """Neighbours that must be the same in a frozen video; without poses, nobody knows when a picture should change."""
    pairs = videos.moving_pairs
    return (FROZEN_SHARE * pairs).where(videos.distance.notna(), pairs).clip(lower=2)


def find_flags(found: Inspection) -> tuple[Flag, ...]:
    """All flags of an inspection, problems first."""
    stuck, image = found.videos.stuck * found.videos.frames, found.index.source.get("imported_from") == "images"
    videos = found.videos.assign(stuck_frames=stuck, image=image)
    actions = found.actions.reindex(columns=["frames", "share", "low", "high"])
    step, turn = (found.travel.step, found.travel.turn) if found.travel else (None, None)
    tables = {
        "dataset": pd.DataFrame([{"videos": len(videos), "step": step, "turn": turn}], ["dataset"]),
        "splits": found.splits if len(videos) else found.splits.head(0),
        "actions": actions if videos.error.isna().any() else actions.head(0),  # unknown where nothing could be read
        "copies": _copies(found),
        "videos": videos,
    }
    sampled, flags = videos.sampled_frames.count(), []
    for kind, severity, table, is_defect, sentence in RULES:
        every = tables[table]
        rows = every[np.broadcast_to(np.asarray(is_defect(every), bool), len(every))]
        if rows.empty:
            continue
        ids, names = rows.index.unique(), rows.get("group", rows.index.to_series()).unique()
        listed = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")
        values = {
            "names": listed,
            "videos": f"{len(ids):,} of {len(videos):,} videos ({listed})",
            "sampled": f"{len(ids):,} of {sampled:,} {'sampled ' if sampled < len(videos) else ''}videos ({listed})",
            "first": rows.iloc[0],
            "least": rows.min(numeric_only=True),
            "total": rows.sum(numeric_only=True),
            "count": len(every),
            "median": videos.frames.median(),
        }
        of_videos = tuple(ids) if table in ("videos", "copies") else ()
        flags.append(Flag(kind=kind, severity=severity, videos=of_videos, sentence=sentence.format(**values)))
    return tuple(flags)


def _copies(found: Inspection) -> pd.DataFrame:
    """A row for each video of each group: the group, whether it is only nearly equal, and the number of its splits."""
    rows = []
    for group in found.duplicates + found.near_duplicates:
        names = " = ".join([*group[:NAMED], "..."][: len(group)])
        near, splits = group in found.near_duplicates, found.videos.split[[*group]].nunique()
        rows += [{"video": video, "group": names, "near": near, "splits": splits} for video in group]
    return pd.DataFrame(rows, columns=["video", "group", "near", "splits"]).set_index("video")
