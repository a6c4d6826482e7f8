"""A walk through a maze that does not end at its walls: it explores, looks around and comes back."""

from collections import deque

import numpy as np

from ..agent import FORWARD, LEFT, RIGHT
from .maze import Cell, Maze

COME_BACK = 0.5
"""Share of the goals that lie among the places already visited."""

NEARBY = 4
"""A new goal is one of so many nearest places not visited yet; one to come back to lies at most so many cells away."""

LOOK_AROUND = 0.08
"""Chance of a full turn before each forward decision. With it, about a third of the decisions are turns, as with
the LOOPCRAFT agent, half of whose bundles have a full turn."""

LONG_WAY_ROUND = 0.1
"""Chance that a right angle is made by three turns to the other side, LOOPCRAFT's share of bundles of three."""


def plan_decisions(rng: np.random.Generator, maze: Maze, moves_per_cell: int, count: int) -> list[int]:
    """The agent's next ``count`` decisions, from the maze's start: forward, left or right, each a right angle.

    It goes by shortest ways from goal to goal. After ``moves_per_cell`` forwards it stands in the next cell's centre,
    so that it never walks into a wall.
    """
    decisions: list[int] = []
    cell, heading = maze.start, maze.heading
    visited = [cell]
    while len(decisions) < count:
        for next_heading in _way(rng, maze, cell, _goal(rng, maze, cell, visited)):
            decisions += _turns(rng, (next_heading - heading) % 4)
            heading = next_heading
            for _ in range(moves_per_cell):
                if rng.random() < LOOK_AROUND:
                    decisions += 4 * [_side(rng)]
                decisions.append(FORWARD)
            cell = dict(maze.neighbours(cell))[heading]
            if cell not in visited:
                visited.append(cell)
    return decisions[:count]


def _goal(rng: np.random.Generator, maze: Maze, cell: Cell, visited: list[Cell]) -> Cell:
    distance = _distances(maze, cell)
    others = [place for place in distance if place != cell]  # nearest first
    new = [place for place in others if place not in visited][:NEARBY]
    known = [place for place in others if place in visited and distance[place] <= NEARBY]
    choice = known if known and (not new or rng.random() < COME_BACK) else new
    return choice[int(rng.integers(len(choice)))]


def _way(rng: np.random.Generator, maze: Maze, start: Cell, goal: Cell) -> list[int]:
    """The headings of a shortest way; one of them at random where there are several."""
    distance = _distances(maze, goal)
    cell, headings = start, []
    while cell != goal:
        closer = [(heading, there) for heading, there in maze.neighbours(cell) if distance[there] < distance[cell]]
        heading, cell = closer[int(rng.integers(len(closer)))]
        headings.append(heading)
    return headings


def _distances(maze: Maze, start: Cell) -> dict[Cell, int]:
    """Cells to walk from ``start`` to each cell, nearest first."""
    distance, queue = {start: 0}, deque([start])
    while queue:
        cell = queue.popleft()
        for _, there in maze.neighbours(cell):
            if there not in distance:
                distance[there] = distance[cell] + 1
                queue.append(there)
    return distance


def _turns(rng: np.random.Generator, quarters: int) -> list[int]:
    """Decisions that turn right by ``quarters`` right angles, 0 to 3."""
    if quarters == 2:
        return 2 * [_side(rng)]
    side, other = (RIGHT, LEFT) if quarters == 1 else (LEFT, RIGHT)
    if quarters == 0:
        return []
    return 3 * [other] if rng.random() < LONG_WAY_ROUND else [side]


def _side(rng: np.random.Generator) -> int:
    return int(rng.choice((LEFT, RIGHT)))
