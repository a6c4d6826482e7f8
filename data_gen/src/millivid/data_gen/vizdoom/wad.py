"""The files that the engine reads, written here: the same maze gives the same bytes.

WAD: the Unofficial Doom Specs (Fell, 1994), ch. 2. TEXTMAP: the Universal Doom Map Format 1.1 and ZDoom's extensions.
BEHAVIOR: compiled ACS in its oldest form, as described in the Hexen specs.
"""

import json
import struct
from collections.abc import Iterator, Sequence

from .looks import SKY
from .maze import DIRECTIONS, Maze

UNITS = 64.0
"""Map units per block along x and z."""

UNITS_UP = 64.0 / 1.2
"""Map units per block upward: the engine draws everything 1.2 times as high as it is wide."""

CAMERA_SCRIPT = 1
"""Number of the script that places the camera: arguments x, y, z in 1/65536 map units, angle in 1/65536 turns."""

PANEL_WIDTH = 2.0
"""Width of a picture on a wall, in blocks; on a narrower wall it takes all of it."""

TEXTURE_HEIGHT = 128.0
"""Height of the wall textures, in pixels."""

Point = tuple[float, float]

Entry = dict[str, object]
"""Names and values of a part of a map."""

Border = tuple[Point, Point, list[Entry]]
"""A wall or a change of region: from, to, and what the front side shows and, where there is one, the back side."""


def engine_wad(field_of_view: float) -> bytes:
    """What is the same for all mazes: a player that is a bare camera, with a lens for the angle of view in degrees."""
    decorate = f"""
        actor Eye : PlayerPawn replaces DoomPlayer {{
            Height 2 Radius 2 Gravity 0 RenderStyle None
            Player.DisplayName "Eye" Player.ViewHeight 0 Player.StartItem "Lens"
            +NOCLIP +INVULNERABLE +NOTARGET -PICKUP -SOLID -SHOOTABLE
            States {{
                Spawn: See: Missile: Melee: Pain: Death:
                    TNT1 A -1
                    Stop
            }}
        }}
        actor Lens : Weapon {{
            States {{
                Ready:
                    TNT1 A 1 A_ZoomFactor({90.0 / field_of_view:.9f}, ZOOM_INSTANT)
                    Wait
                Select:
                    TNT1 A 0 A_Raise
                    Loop
                Deselect:
                    TNT1 A 0 A_Lower
                    Loop
                Fire:
                    TNT1 A 1
                    Goto Ready
            }}
        }}
    """
    mapinfo = 'gameinfo { playerclasses = "Eye" }'
    sky = 'texture "SKY1", 256, 128 { patch "P-SKY1", 0, 0 }'  # clouds by day instead of night
    return _wad([("DECORATE", decorate.encode()), ("MAPINFO", mapinfo.encode()), ("TEXTURES", sky.encode())])


def maze_wad(maze: Maze) -> bytes:
    """The map of a maze. Map x is x, map y is -z, so that a map looks like the maze seen from above."""
    lines: list[tuple[Point, Point, Entry]] = []
    sides: list[Entry] = []
    for start, end, shown in _borders(maze):
        back: Entry = {"sideback": len(sides) + 1, "twosided": True} if len(shown) == 2 else {"blocking": True}
        lines.append((start, end, {"sidefront": len(sides)} | back))
        sides += shown
    sectors: list[Entry] = [
        {
            "heightceiling": round(region.height * UNITS_UP),  # the engine reads no fractions here
            "texturefloor": region.floor,
            "textureceiling": region.ceiling,
            "lightlevel": 240 if region.ceiling == SKY else 208,
            "lightcolor": region.light,
        }
        for region in maze.regions
    ]
    x, z = maze.centre(maze.start)
    things: list[Entry] = [{"x": x * UNITS, "y": -z * UNITS, "type": 1}]
    things += [{"x": thing.x * UNITS, "y": -thing.z * UNITS, "type": thing.kind} for thing in maze.things]
    textmap = _textmap(lines, sides, sectors, things)
    return _wad([("MAP01", b""), ("TEXTMAP", textmap), ("BEHAVIOR", camera_script()), ("ENDMAP", b"")])


def camera_script() -> bytes:
    """The compiled script that sets the camera's place and angle, which are its four arguments."""
    push_number, push_argument, drop, terminate = 3, 28, 54, 1
    set_actor_position, set_actor_angle, myself, fog = 283, 276, 0, 0
    code = [push_number, myself, push_argument, 0, push_argument, 1, push_argument, 2, push_number, fog]
    code += [set_actor_position, drop]
    code += [push_number, myself, push_argument, 3, set_actor_angle, terminate]
    begin = 8
    directory = [1, CAMERA_SCRIPT, begin, 4, 0]  # one script: its number, address and count of arguments; no strings
    return b"ACS\0" + struct.pack("<i", begin + 4 * len(code)) + struct.pack(f"<{len(code) + 5}i", *code, *directory)


def _borders(maze: Maze) -> Iterator[Border]:
    for i, j in zip(*(maze.region >= 0).nonzero(), strict=True):
        west, east, north, south = maze.edges[i], maze.edges[i + 1], maze.edges[j], maze.edges[j + 1]
        # The tile lies to the right of each line, which is the line's front.
        around = {
            (0, -1): ((west, north), (east, north)),
            (1, 0): ((east, north), (east, south)),
            (0, 1): ((east, south), (west, south)),
            (-1, 0): ((west, south), (west, north)),
        }
        here = int(maze.region[i, j])
        for direction in DIRECTIONS:
            start, end = around[direction]
            di, dj = i + direction[0], j + direction[1]
            there = int(maze.region[di, dj])
            if there < 0:
                yield from _wall(maze, start, end, here, maze.panels.get((int(i), int(j), direction)))
            elif there != here and sum(direction) > 0:  # each border once
                yield start, end, [{"sector": which, "texturetop": maze.regions[which].wall} for which in (here, there)]


def _wall(maze: Maze, start: Point, end: Point, region: int, panel: str | None) -> Iterator[Border]:
    """One wall, or the parts beside a picture and the picture."""
    length = abs(end[0] - start[0]) + abs(end[1] - start[1])
    along = ((end[0] - start[0]) / length, (end[1] - start[1]) / length)
    width = min(PANEL_WIDTH, length) if panel else 0.0
    cuts = [0.0, (length - width) / 2, (length + width) / 2, length]
    for part, (begin, stop) in enumerate(zip(cuts, cuts[1:], strict=False)):
        if stop - begin < 1e-9:
            continue
        points = [(round(start[0] + along[0] * at, 6), round(start[1] + along[1] * at, 6)) for at in (begin, stop)]
        side: Entry = {"sector": region}
        if panel and part == 1:
            height = maze.regions[region].height * UNITS_UP
            scale = TEXTURE_HEIGHT / (width * UNITS)
            side.update(texturemiddle=panel, scalex_mid=scale, scaley_mid=TEXTURE_HEIGHT / height)
        else:
            corner = points[0][0] * along[0] + points[0][1] * along[1]
            side.update(texturemiddle=maze.regions[region].wall, offsetx=round(corner * UNITS) % 1024)
        yield points[0], points[1], [side]


def _textmap(
    lines: Sequence[tuple[Point, Point, Entry]],
    sides: Sequence[Entry],
    sectors: Sequence[Entry],
    things: Sequence[Entry],
) -> bytes:
    vertices = {point: index for index, point in enumerate(dict.fromkeys(p for line in lines for p in line[:2]))}
    text = ['namespace = "zdoom";']
    text += [_block("vertex", {"x": x * UNITS, "y": -z * UNITS}) for x, z in vertices]
    text += [_block("linedef", {"v1": vertices[start], "v2": vertices[end]} | rest) for start, end, rest in lines]
    text += [_block("sidedef", side) for side in sides]
    text += [_block("sector", sector) for sector in sectors]
    always = {f"skill{skill}": True for skill in range(1, 6)} | {"single": True}
    text += [_block("thing", thing | always) for thing in things]
    return "\n".join(text).encode()


def _block(name: str, values: Entry) -> str:
    return f"{name} {{ {' '.join(f'{key} = {_value(value)};' for key, value in values.items())} }}"


def _value(value: object) -> str:
    return f"{value:.6f}" if isinstance(value, float) else json.dumps(value)


def _wad(lumps: Sequence[tuple[str, bytes]]) -> bytes:
    body, directory = b"", b""
    for name, content in lumps:
        directory += struct.pack("<ii8s", 12 + len(body), len(content), name.encode())
        body += content
    return b"PWAD" + struct.pack("<ii", len(lumps), 12 + len(body)) + body + directory
