"""An inspection as text, for a terminal of 100 columns."""

import textwrap
from collections.abc import Iterable, Sequence

from .findings import Histogram, Inspection, Travel

WIDTH = 100
BAR = 30
"""Characters of the longest bar."""
ROWS = 30
"""Actions, components and splits that are listed at most."""


def inspection_text(inspection: Inspection) -> str:
    """All that was found, in aligned columns of at most 100 characters; the flags come last, where a terminal stops."""
    sections = (_head, _splits, _lengths, _actions, _components, _travel, _pixels, _flags)
    blocks = ["\n".join(_cut(line) for line in section(inspection)) for section in sections]
    return "\n\n".join(block for block in blocks if block) + "\n"


def facts(inspection: Inspection) -> list[tuple[str, str]]:
    """What a dataset is, as names and values."""
    index = inspection
    height, width = index.size
    per_thousand = index.bytes / index.frames * 1000 if index.frames else 0.0
    return [
        ("videos", f"{len(index.videos):,}"),
        ("frames", f"{index.frames:,}, {hours_text(index.hours)} at {index.fps:g} per second"),
        ("pixels", f"{height}x{width} (height x width), {'lossless' if index.lossless else 'lossy'}"),
        ("on disk", f"{bytes_text(index.bytes)}, {bytes_text(per_thousand)} per 1,000 frames"),
        ("actions", _action_fact(inspection)),
        ("poses", ", ".join(index.pose_names) or "none"),
        ("source", source_text(inspection)),
    ]


def sampling_text(inspection: Inspection) -> str:
    """What the statistics of frames are from, and what else was looked at."""
    pixels, every = inspection.pixels, len(inspection.videos)
    if pixels is None:
        return "No frame could be read."
    text = f"From {pixels.frames:,} frames, and the neighbour of each, of"
    if len(inspection.sampled) == every:
        return f"{text} {'all' if pixels.videos == every else f'{pixels.videos:,} of the {every:,}'} videos."
    suspects = sum(video.sampled_frames is not None for video in inspection.videos) - pixels.videos
    return (
        f"{text} {pixels.videos:,} of the {every:,} videos, evenly chosen from each split. For the flags, the {suspects} "
        "others with the fewest bytes per frame were looked at too."
    )


def travel_text(travel: Travel) -> str:
    """What coming back means, with this dataset's numbers."""
    return (
        f"A frame comes back to a place if an earlier one, at least {travel.gap} frames before, lies within "
        f"{travel.radius:.3g} (4 usual steps), and the camera was farther away in between; to a view if that is true of "
        f"frames that look in the same direction, to {travel.angle:g} degrees."
    )


def hours_text(hours: float) -> str:
    """A length of time in the unit that suits it."""
    if hours >= 1:
        return f"{hours:,.1f} hours"
    return f"{hours * 60:.1f} minutes" if hours * 60 >= 1 else f"{hours * 3600:.1f} seconds"


def bytes_text(count: float) -> str:
    """A number of bytes in the unit that suits it."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def source_text(inspection: Inspection) -> str:
    """The entries of the source that are plain values, in one line."""
    plain = {key: value for key, value in inspection.source.items() if isinstance(value, str | int | float | bool)}
    return ", ".join(f"{key} {value}" for key, value in plain.items()) or "not said"


def number(value: float | None, form: str = ".3g") -> str:
    """A number, or a dash where it is not known."""
    return "–" if value is None else format(value, form)


def _action_fact(inspection: Inspection) -> str:
    names = inspection.action_names
    if not names:
        return "none"
    kind = "categorical" if inspection.action_type == "categorical" else "continuous, with"
    return f"{len(names)} {kind}: {', '.join(names)}" if kind == "categorical" else f"{kind} {', '.join(names)}"


def _head(inspection: Inspection) -> Iterable[str]:
    yield f"{inspection.name}  ({inspection.folder})"
    yield ""
    for name, value in facts(inspection):
        yield from textwrap.wrap(value, WIDTH, initial_indent=f"  {name:<9}", subsequent_indent=" " * 11, max_lines=4)


def _splits(inspection: Inspection) -> Iterable[str]:
    splits = inspection.splits
    heads = ["Splits", "videos", "frames", "time"]
    rows = [[one.name, f"{one.videos:,}", f"{one.frames:,}", hours_text(one.hours)] for one in splits[:ROWS]]
    if inspection.travel is not None:
        yaw = inspection.travel.turning_up is not None
        heads += ["distance", *(["turned"] if yaw else []), "back to place", *(["to view"] if yaw else [])]
        for row, one in zip(rows, splits, strict=False):
            row.append(number(one.distance, ".1f"))
            row += [f"{number(one.turned, ',.0f')}°"] if yaw else []
            row.append(number(one.places, ".1%"))
            row += [number(one.views, ".1%")] if yaw else []
    return _table(heads, rows)


def _lengths(inspection: Inspection) -> Iterable[str]:
    lengths = inspection.lengths
    if lengths is None:
        return
    if lengths.histogram is None:
        yield f"Lengths  all videos have {lengths.longest:,} frames"
        return
    yield f"Lengths  {lengths.shortest:,} to {lengths.longest:,} frames, median {lengths.median:,g}"
    yield from _histogram(lengths.histogram, 8)


def _actions(inspection: Inspection) -> Iterable[str]:
    if not inspection.action_names:
        yield "Actions  none in this dataset"
    if not inspection.actions:
        return
    most = max(action.share for action in inspection.actions) or 1.0
    rows = [
        [one.name, f"{one.frames:,}", f"{one.share:.1%}", f"{one.held:.1f}", _bar(one.share / most)]
        for one in sorted(inspection.actions, key=lambda action: -action.share)[:ROWS]
    ]
    yield from _table(["Actions", "frames", "share", "held for", ""], rows)
    if len(inspection.actions) > ROWS:
        yield f"  and {len(inspection.actions) - ROWS} that are taken less"


def _components(inspection: Inspection) -> Iterable[str]:
    if not inspection.components:
        return []
    rows = [
        [one.name, *(number(value) for value in (one.mean, one.std, one.low, one.high)), sparkline(one.histogram)]
        for one in inspection.components[:ROWS]
    ]
    lines = _table(["Actions", "mean", "std", "lowest", "highest", "lowest to highest"], rows)
    more = len(inspection.components) - ROWS
    return [*lines, f"  and {more} more"] if more > 0 else lines


def _travel(inspection: Inspection) -> Iterable[str]:
    travel = inspection.travel
    if travel is None:
        yield f"Camera   poses are {', '.join(inspection.pose_names) or 'none'}; a map needs x and z, or x and y"
        return
    yield "Camera"
    yield from _wrapped(f"It {camera_text(travel)}.")
    yield from _wrapped(travel_text(travel))


def camera_text(travel: Travel) -> str:
    """How a camera moves, in one line."""
    parts = [f"moves in {travel.moving:.1%} of the frames, usually by {travel.step:.3g}"]
    if travel.turning_up is not None and travel.turning_down is not None:
        parts.append(
            f"turns by {travel.turn:.3g}°: yaw grows in {travel.turning_up:.1%} and falls in {travel.turning_down:.1%}"
        )
    return "; ".join(parts)


def _pixels(inspection: Inspection) -> Iterable[str]:
    pixels = inspection.pixels
    if pixels is None:
        return
    yield from _table(
        ["Frames (0 to 255)", "red", "green", "blue"],
        [[name, *(f"{v:.1f}" for v in values)] for name, values in (("mean", pixels.mean), ("std", pixels.std))],
    )
    yield f"  brightness, dark to light  {sparkline(pixels.brightness)}"
    if pixels.difference is not None:
        yield f"  difference to the next     {pixels.difference:.1f} on average; the same in {number(pixels.still, '.1%')}"
    yield f"  black, of one colour       {pixels.black:.1%}, {pixels.blank:.1%}"
    yield from _wrapped(sampling_text(inspection))


def _flags(inspection: Inspection) -> Iterable[str]:
    if not inspection.flags:
        yield "No problems found."
        return
    problems = sum(flag.severity == "problem" for flag in inspection.flags)
    remarks = len(inspection.flags) - problems
    counted = [
        f"{count} {word}{'s' if count > 1 else ''}" for count, word in ((problems, "problem"), (remarks, "remark"))
    ]
    yield f"{' and '.join(text for text, count in zip(counted, (problems, remarks), strict=True) if count)} found:"
    for flag in inspection.flags:
        mark = "!" if flag.severity == "problem" else "-"
        yield from textwrap.wrap(
            flag.sentence, WIDTH, initial_indent=f"  {mark} ", subsequent_indent="    ", break_on_hyphens=False
        )


def sparkline(histogram: Histogram) -> str:
    """A histogram as one character per bin; a dot where there is nothing."""
    most = max(histogram.counts) or 1
    return "".join("·▁▂▃▄▅▆▇█"[-(-count * 8 // most)] for count in histogram.counts)


def _histogram(histogram: Histogram, rows: int) -> Iterable[str]:
    """A histogram with as many rows at most; neighbouring bins are put together."""
    per_row = -(-len(histogram.counts) // rows)
    starts = range(0, len(histogram.counts), per_row)
    counts = [sum(histogram.counts[start : start + per_row]) for start in starts]
    for start, count in zip(starts, counts, strict=True):
        low, high = histogram.edges[start], histogram.edges[min(start + per_row, len(histogram.counts))]
        yield f"  {low:>9,.0f} to {high:<9,.0f} {count:>8,}  {_bar(count / max(*counts, 1))}".rstrip()


def _bar(share: float) -> str:
    return "█" * (max(1, round(share * BAR)) if share > 0 else 0)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns aligned to the right, but for the first and for bars."""
    first = min(max(len(row[0]) for row in [heads, *rows]), 34)
    cells = [[row[0][:first].ljust(first - 2), *row[1:]] for row in rows]
    widths = [max(len(row[i]) for row in [heads, *cells]) for i in range(len(heads))]
    lines = [heads[0].ljust(first) + _aligned(heads, widths)]
    lines += ["  " + row[0].ljust(first - 2)[: max(first, 7)] + _aligned(row, widths) for row in cells]
    return [line.rstrip() for line in lines]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(
        "  " + (cell.ljust(width) if set(cell) & set("·█▁▂▃▄▅▆▇") else cell.rjust(width))
        for cell, width in list(zip(row, widths, strict=True))[1:]
    )


def _wrapped(sentence: str) -> list[str]:
    return textwrap.wrap(sentence, WIDTH, initial_indent="  ", subsequent_indent="  ")


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"
