"""Climates: what the ground, the trees and the houses of a region look like."""

from dataclasses import dataclass

Colour = tuple[float, float, float]

GREEN, OLIVE, PINE = (0.24, 0.50, 0.20), (0.36, 0.55, 0.20), (0.13, 0.38, 0.26)
RUST, GOLD, BLOSSOM = (0.80, 0.36, 0.14), (0.90, 0.66, 0.16), (0.93, 0.62, 0.74)
SNOW = (0.95, 0.97, 1.00)


@dataclass(frozen=True, kw_only=True)
class Climate:
    """One kind of region.

    Attributes:
        tones: two tones of ground, and a third that lies in patches on it.
        roughness: of the hills, as a share of the world's.
        growth: trees, as a share of the densest forest's.
        plants: which of `plants.PLANTS` grow here, and their colours; one as often as another.
        walls: colours of houses' walls.
        roofs: colours of their roofs.
    """

    tones: tuple[Colour, Colour, Colour]
    roughness: float
    growth: float
    plants: tuple[tuple[str, Colour], ...]
    walls: tuple[Colour, ...]
    roofs: tuple[Colour, ...]


PLASTER, BRICK, TIMBER, STONE = (0.94, 0.91, 0.83), (0.72, 0.33, 0.25), (0.55, 0.38, 0.23), (0.62, 0.62, 0.63)
TILES, SLATE, STRAW, CLAY = (0.74, 0.28, 0.18), (0.28, 0.31, 0.39), (0.83, 0.70, 0.38), (0.90, 0.78, 0.57)

CLIMATES = (
    Climate(  # meadow and sand
        tones=((0.47, 0.66, 0.30), (0.38, 0.58, 0.27), (0.80, 0.72, 0.48)),
        roughness=0.8,
        growth=0.4,
        plants=(("round", GREEN), ("round", OLIVE), ("block", GREEN), ("bush", OLIVE)),
        walls=(PLASTER, (0.95, 0.83, 0.45), BRICK, (0.55, 0.70, 0.84)),
        roofs=(TILES, SLATE, (0.35, 0.42, 0.25)),
    ),
    Climate(  # dry meadow and earth
        tones=((0.55, 0.66, 0.31), (0.46, 0.59, 0.28), (0.62, 0.49, 0.34)),
        roughness=0.9,
        growth=0.3,
        plants=(("tall", OLIVE), ("bush", OLIVE), ("boulder", (0.60, 0.55, 0.47))),
        walls=(PLASTER, CLAY, (0.86, 0.62, 0.50)),
        roofs=(TILES, STRAW, (0.55, 0.27, 0.20)),
    ),
    Climate(  # moss and stone
        tones=((0.41, 0.62, 0.38), (0.33, 0.54, 0.35), (0.63, 0.63, 0.62)),
        roughness=1.0,
        growth=0.8,
        plants=(("cone", PINE), ("cone", GREEN), ("mushroom", (0.84, 0.18, 0.16)), ("boulder", STONE)),
        walls=(STONE, TIMBER, (0.44, 0.50, 0.46)),
        roofs=(SLATE, (0.26, 0.42, 0.30), (0.42, 0.25, 0.20)),
    ),
    Climate(  # sand and grass
        tones=((0.84, 0.75, 0.53), (0.77, 0.67, 0.45), (0.58, 0.62, 0.34)),
        roughness=0.6,
        growth=0.3,
        plants=(("cactus", (0.25, 0.55, 0.28)), ("cactus", (0.33, 0.60, 0.30)), ("palm", (0.28, 0.58, 0.22))),
        walls=(CLAY, (0.93, 0.90, 0.82), (0.83, 0.58, 0.40)),
        roofs=((0.76, 0.55, 0.36), (0.20, 0.48, 0.62), (0.93, 0.90, 0.82)),
    ),
    Climate(  # snow and tundra
        tones=((0.85, 0.89, 0.93), (0.76, 0.82, 0.89), (0.52, 0.57, 0.48)),
        roughness=1.0,
        growth=0.6,
        plants=(("fir", PINE), ("fir", (0.20, 0.42, 0.36)), ("boulder", (0.60, 0.64, 0.70))),
        walls=(TIMBER, (0.66, 0.22, 0.20), (0.34, 0.44, 0.58)),
        roofs=(SNOW, SNOW, SLATE),
    ),
    Climate(  # autumn earth and straw
        tones=((0.70, 0.55, 0.36), (0.62, 0.47, 0.31), (0.83, 0.74, 0.46)),
        roughness=0.9,
        growth=0.9,
        plants=(("round", RUST), ("round", GOLD), ("block", RUST), ("tall", GOLD)),
        walls=(PLASTER, TIMBER, (0.78, 0.50, 0.28)),
        roofs=((0.40, 0.24, 0.18), SLATE, STRAW),
    ),
    Climate(  # blossom garden
        tones=((0.56, 0.74, 0.44), (0.48, 0.67, 0.40), (0.82, 0.68, 0.78)),
        roughness=0.5,
        growth=0.6,
        plants=(("round", BLOSSOM), ("block", BLOSSOM), ("round", (0.97, 0.85, 0.88)), ("bush", (0.66, 0.42, 0.72))),
        walls=((0.97, 0.95, 0.92), (0.80, 0.88, 0.80), (0.92, 0.76, 0.72)),
        roofs=((0.24, 0.36, 0.55), (0.60, 0.24, 0.34), SLATE),
    ),
    Climate(  # red rock
        tones=((0.78, 0.45, 0.31), (0.69, 0.38, 0.27), (0.88, 0.64, 0.44)),
        roughness=1.0,
        growth=0.3,
        plants=(("bare", (0.36, 0.28, 0.24)), ("boulder", (0.62, 0.34, 0.26)), ("cactus", (0.40, 0.58, 0.36))),
        walls=(CLAY, (0.88, 0.66, 0.46), PLASTER),
        roofs=((0.45, 0.26, 0.20), (0.24, 0.52, 0.52), CLAY),
    ),
)

WORLD_CLIMATES = 6
"""So many, from the first on, are drawn from where a world has a single one."""
