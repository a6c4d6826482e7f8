"""Histograms and bars as SVG, coloured by the page's style."""

import math
from html import escape

from .findings import Histogram

WIDTH, HEIGHT = 330, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 40


def histogram_svg(histogram: Histogram, *, values: str, counted: str) -> str:
    """A histogram with labelled axes. values: what is on the horizontal axis, with its unit; counted: what is counted."""
    total = sum(histogram.counts) or 1
    shares = [100 * count / total for count in histogram.counts]
    low, high = histogram.edges[0], histogram.edges[-1]
    inner, ground = WIDTH - LEFT - RIGHT, HEIGHT - BOTTOM
    ups = round_ticks(0, max(*shares, 1e-9), 3)
    top = max(ups[-1], max(shares))
    parts = []
    for tick in ups:
        y = ground - tick / top * (ground - TOP)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g} %</text>')
    wide = inner / len(shares)
    for i, share in enumerate(shares):
        if share > 0:
            tall = max(share / top * (ground - TOP), 0.8)
            about = f"{histogram.edges[i]:.4g} to {histogram.edges[i + 1]:.4g}: {share:.2g} %"
            parts.append(
                f'<rect class="bar" x="{LEFT + i * wide + 0.5:.1f}" y="{ground - tall:.1f}" width="{max(wide - 1, 0.5):.1f}" '
                f'height="{tall:.1f}"><title>{about}</title></rect>'
            )
    for tick in round_ticks(low, high, 5):
        x = LEFT + (tick - low) / ((high - low) or 1) * inner
        if LEFT - 1 <= x <= WIDTH - RIGHT + 1:
            anchor = "end" if x > WIDTH - RIGHT - 12 else "middle"
            parts.append(f'<text x="{x:.1f}" y="{ground + 15}" text-anchor="{anchor}">{tick:,g}</text>')
    label = escape(values)
    parts.append(f'<text class="axis" x="{LEFT + inner / 2:.1f}" y="{HEIGHT - 6}" text-anchor="middle">{label}</text>')
    name = escape(f"{counted} by {values}", quote=True)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}">{"".join(parts)}</svg>'


def bar_svg(share: float) -> str:
    """A bar that fills a share of the width it is given."""
    return (
        '<svg class="share" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="bar" width="{100 * share:.2f}" height="10"/></svg>'
    )


def round_ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers from `low` to `high`."""
    if not high > low:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]
