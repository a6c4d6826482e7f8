"""Textures of Freedoom that mazes are built from: none is animated, and none has writing on it."""

SKY = "F_SKY1"

WALLS = (
    "BRICK11", "BRICK12", "BIGBRIK2", "BIGWALL", "CEMENT9", "COMPBLUE", "GRAYBIG", "GSTONE1", "REDWALL", "ROCK5",
    "STARBR1", "STARG4", "AROCK2", "STONEW5", "CARLLF1", "A-CAMO1", "A-CAMO4", "A-MYWOOD", "A-TILE", "DOKGRIR",
    "CRLWDL6", "A-CONCTE", "A-ROCK", "A-DBRI1", "PIPES", "WOOD1",
)  # fmt: skip

FLOORS = (
    "FLOOR4_6", "FLAT8", "FLOOR0_7", "FLOOR1_6", "MFLR8_3", "RROCK11", "FLAT14", "FLAT5", "SLIME16", "AQF022",
    "AQF047", "AQF048", "AQF053", "FLAT5_3", "CEIL3_1", "FLOOR5_2", "FLAT20", "RROCK02", "FLAT5_1", "GRASS1",
)  # fmt: skip

CEILINGS = (
    "CEIL1_1", "CEIL3_5", "CEIL4_2", "CEIL5_2", "CRATOP1", "CRATOP2", "FLAT1", "FLAT18", "FLAT5_5", "FLOOR6_1",
    "FLOOR7_2", "FLAT23", "RROCK09", "SLIME14", "AQF074",
)  # fmt: skip

PANELS = (
    "PANBLACK", "PANBLUE", "PANRED", "PANBOOK", "GSTLION", "GSTSATYR", "MARBFACE", "MARBFAC2", "PLAT1", "COMPSTA1",
    "COMPSTA2", "AQLITE04", "AQLITE07", "AQLITE09", "AQLITE11", "AQLITE13", "AQLITE15", "AQLITE18", "AQLITE24",
    "AQPANL09", "BIGDOOR2", "BRICKLIT", "CRACKLE2", "DOGRID", "LITE2", "LITEYEL3", "MODWALL3", "PBLUE", "PGREEN",
    "PORAN", "PRED", "PWHITE",
)  # fmt: skip

LIGHTS = (0xFFFFFF, 0xFFDCB4, 0xBED2FF, 0xC8FFC8, 0xFFC8DC, 0xFFFFA0)
"""Colours of light, 0xRRGGBB."""

THINGS = (30, 31, 32, 33, 35, 43, 47, 48, 2028)
"""Kinds of things, by the engine's numbers: columns, a candelabra, a tree, a stalagmite, a pillar, a lamp."""
