"""The maze: which tiles are solid, what its regions look like, and where its landmarks are."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .config import VizdoomConfig
from .looks import CEILINGS, FLOORS, LIGHTS, PANELS, SKY, THINGS, WALLS

WALL = 0.5
"""Thickness of walls, in blocks."""

BODY_RADIUS = 0.35
"""Nothing solid comes nearer to the agent than this along x or z, in blocks."""

THING_RADIUS = 0.3
"""Half the side of the square that a thing takes up, in blocks."""

CELLS_PER_REGION = 6
CEILING_HEIGHTS = (3.75, 4.5, 5.25)
OPEN_TO_THE_SKY = 0.3
"""Share of the regions without a ceiling."""

Cell = tuple[int, int]

DIRECTIONS: tuple[Cell, ...] = ((0, 1), (-1, 0), (0, -1), (1, 0))
"""Steps (x, z) of heading 0, 1, 2, 3: yaw 0, 90, 180, 270."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """What a region of the maze looks like.

    wall, floor, ceiling: names of textures. height: of the ceiling, in blocks. light: colour of the light, 0xRRGGBB.
    """

    wall: str
    floor: str
    ceiling: str
    height: float
    light: int


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A thing that stands in a corner: its place in blocks and the engine's number of its kind."""

    x: float
    z: float
    kind: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Maze:
    """A maze of cells with walls between them, on a grid of tiles.

    Tiles with two odd indices are the cells, those with one are gaps or walls between two cells, those with none are the
    posts where walls meet. Cell (a, b) is tile [2a + 1, 2b + 1].

    edges: [2 cells + 2], where tiles begin and end, in blocks, along x as along z. solid: bool [2 cells + 1, 2 cells + 1],
    by x and z. region: int64, shape of ``solid``: the region of an open tile, an index of ``regions``; -1 where solid.
    regions: what they look like. panels: the texture of a picture on a wall, by the open tile's indices and the direction
    of the wall. things: what stands in corners. start: the cell where the agent begins. heading: where it looks then, an
    index of `DIRECTIONS`; the way there is open.
    """

    edges: tuple[float, ...]
    solid: NDArray[np.bool_]
    region: NDArray[np.int64]
    regions: tuple[Region, ...]
    panels: dict[tuple[int, int, Cell], str]
    things: tuple[Thing, ...]
    start: Cell
    heading: int

    def centre(self, cell: Cell) -> tuple[float, float]:
        """Where the middle of a cell is, (x, z) in blocks."""
        x, z = ((self.edges[2 * index + 1] + self.edges[2 * index + 2]) / 2 for index in cell)
        return x, z

    def neighbours(self, cell: Cell) -> list[tuple[int, Cell]]:
        """The cells that can be walked to from a cell, each with the heading that leads there."""
        return [
            (heading, (cell[0] + DIRECTIONS[heading][0], cell[1] + DIRECTIONS[heading][1]))
            for heading in _open_headings(self.solid, cell)
        ]

    def is_free(self, x: float, z: float) -> bool:
        """Whether the agent's body fits at (x, z), in blocks."""
        (i, j), (k, m) = (
            (bisect_right(self.edges, at - BODY_RADIUS) - 1, bisect_left(self.edges, at + BODY_RADIUS)) for at in (x, z)
        )
        if min(i, k) < 0 or max(j, m) >= len(self.edges) or self.solid[i:j, k:m].any():
            return False
        reach = BODY_RADIUS + THING_RADIUS
        return not any(abs(thing.x - x) < reach and abs(thing.z - z) < reach for thing in self.things)


def generate_maze(seed: int, config: VizdoomConfig) -> Maze:
    """The maze of a seed; equal arguments give an equal maze."""
    rng, cells, landmarks = np.random.default_rng([seed, 0]), config.cells, config.landmarks
    solid = _carve(rng, cells)
    _open_loops(rng, solid, config.loops)
    for _ in range(config.rooms):
        _open_room(rng, solid)
    edges = tuple(index // 2 * config.cell_size + (index % 2) * WALL for index in range(2 * cells + 2))
    region = _spread_regions(rng, solid)
    start = (int(rng.integers(cells)), int(rng.integers(cells)))
    return Maze(
        edges=edges,
        solid=solid,
        region=region,
        regions=_draw_regions(rng, int(region.max()) + 1),
        panels=_hang_panels(rng, solid, landmarks),
        things=tuple(_place_things(rng, edges, cells, landmarks)),
        start=start,
        heading=int(rng.choice(_open_headings(solid, start))),
    )


def _open_headings(solid: NDArray[np.bool_], cell: Cell) -> list[int]:
    return [
        heading for heading, (dx, dz) in enumerate(DIRECTIONS) if not solid[2 * cell[0] + 1 + dx, 2 * cell[1] + 1 + dz]
    ]


def _carve(rng: np.random.Generator, cells: int) -> NDArray[np.bool_]:
    """A maze with exactly one way between any two cells: a walk that backs up where it is stuck."""
    solid = np.ones((2 * cells + 1, 2 * cells + 1), np.bool_)
    stack: list[Cell] = [(int(rng.integers(cells)), int(rng.integers(cells)))]
    solid[2 * stack[0][0] + 1, 2 * stack[0][1] + 1] = False
    while stack:
        a, b = stack[-1]
        closed = [
            (dx, dz)
            for dx, dz in DIRECTIONS
            if 0 <= a + dx < cells and 0 <= b + dz < cells and solid[2 * (a + dx) + 1, 2 * (b + dz) + 1]
        ]
        if not closed:
            stack.pop()
            continue
        dx, dz = closed[int(rng.integers(len(closed)))]
        solid[2 * a + 1 + dx, 2 * b + 1 + dz] = False
        solid[2 * (a + dx) + 1, 2 * (b + dz) + 1] = False
        stack.append((a + dx, b + dz))
    return solid


def _open_loops(rng: np.random.Generator, solid: NDArray[np.bool_], loops: float) -> None:
    inner = np.argwhere(solid)
    inner = inner[(inner.sum(1) % 2 == 1) & (inner.min(1) > 0) & (inner.max(1) < len(solid) - 1)]
    for i, j in rng.permutation(inner)[: round(loops * len(inner))]:
        solid[i, j] = False


def _open_room(rng: np.random.Generator, solid: NDArray[np.bool_]) -> None:
    """Take away all walls among some cells. Posts stay as pillars in every second room."""
    cells = len(solid) // 2
    width, depth = (int(side) for side in rng.integers(2, min(3, cells) + 1, 2))
    a, b = int(rng.integers(cells - width + 1)), int(rng.integers(cells - depth + 1))
    inside = solid[2 * a + 1 : 2 * (a + width), 2 * b + 1 : 2 * (b + depth)]
    posts = inside[1::2, 1::2].copy()
    inside[:] = False
    if rng.random() < 0.5:
        inside[1::2, 1::2] = posts


def _spread_regions(rng: np.random.Generator, solid: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Each open tile belongs to the nearest of some random tiles."""
    cells = len(solid) // 2
    middles = rng.permutation(cells * cells)[: max(2, cells * cells // CELLS_PER_REGION)]
    middles_at = np.stack([middles // cells, middles % cells], axis=1) * 2 + 1
    tiles = np.indices(solid.shape).transpose(1, 2, 0)
    distance = ((tiles[:, :, None] - middles_at) ** 2).sum(-1)
    return np.where(solid, -1, distance.argmin(-1)).astype(np.int64)


def _draw_regions(rng: np.random.Generator, count: int) -> tuple[Region, ...]:
    walls, floors, ceilings = (_endless(rng, names, count) for names in (WALLS, FLOORS, CEILINGS))
    return tuple(
        Region(
            wall=wall,
            floor=floor,
            ceiling=SKY if rng.random() < OPEN_TO_THE_SKY else ceiling,
            height=float(rng.choice(CEILING_HEIGHTS)),
            light=int(rng.choice(LIGHTS)),
        )
        for wall, floor, ceiling in zip(walls, floors, ceilings, strict=True)
    )


def _hang_panels(
    rng: np.random.Generator, solid: NDArray[np.bool_], landmarks: float
) -> dict[tuple[int, int, Cell], str]:
    """Pictures on some walls of cells, and all round posts that stand alone."""
    odd = range(1, len(solid), 2)
    faces = [[(i, j, way)] for i in odd for j in odd for way in DIRECTIONS if solid[i + way[0], j + way[1]]]
    faces = [face for face in faces if rng.random() < landmarks]
    even = range(2, len(solid) - 1, 2)
    for i in even:
        for j in even:
            if solid[i, j] and not any(solid[i + dx, j + dz] for dx, dz in DIRECTIONS):
                faces.append([(i - dx, j - dz, (dx, dz)) for dx, dz in DIRECTIONS])
    textures = _endless(rng, PANELS, len(faces))
    return {face: texture for group, texture in zip(faces, textures, strict=True) for face in group}


def _place_things(rng: np.random.Generator, edges: tuple[float, ...], cells: int, landmarks: float) -> Iterator[Thing]:
    for a in range(cells):
        for b in range(cells):
            if rng.random() < landmarks:
                x, z = (
                    edges[2 * index + 1] + THING_RADIUS if rng.random() < 0.5 else edges[2 * index + 2] - THING_RADIUS
                    for index in (a, b)
                )
                yield Thing(x=x, z=z, kind=int(rng.choice(THINGS)))


def _endless(rng: np.random.Generator, names: tuple[str, ...], count: int) -> list[str]:
    """``count`` names in random order; none comes again before all others came."""
    drawn: list[str] = []
    while len(drawn) < count:
        drawn += [names[int(index)] for index in rng.permutation(len(names))]
    return drawn[:count]
