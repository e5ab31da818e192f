"""A layout of graphs in layers: the longest path runs straight, other paths in lanes beside it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Edges", "Placement", "Point", "layered"]

Point = tuple[float, float]
Edges = Sequence[tuple[int, int]]

_TRACK = 10  # CSS pixels between lines that run side by side
_PORT = 16  # from the corner of a box to where lines to other lanes leave it
_LANES = 26  # between lanes
_BESIDE = 30  # between a box and those beside it
_STACK = 8  # between boxes that stand beside the same one
_MARGIN = 4
_NARROW = 8  # what a lane of lines needs to either side


@dataclass(frozen=True)
class Placement:
    """The positions of boxes, edges and words, in CSS pixels.

    Args:
        size: width and height of the whole.
        centers: of the boxes.
        lines: points of each edge, from the border of a box to that of another.
        labels: where the words on each edge are best put.
        curved: whether lines are Bézier curves, of 1 + 3k points each.
    """

    size: Point
    centers: tuple[Point, ...]
    lines: tuple[tuple[Point, ...], ...]
    labels: tuple[Point, ...]
    curved: bool = False


def layered(
    sizes: Sequence[Point],
    edges: Edges,
    *,
    beside: Mapping[int, int] | None = None,
    labels: Point = (0, 0),
    downwards: bool = True,
) -> Placement:
    """Place boxes so that none covers another and no line runs through a box that it does not belong to.

    A box stands in the row after the last of what goes into it. Rows are cut into lanes: the longest way
    through the graph has the first, the longest of what is left the next that is free so far, and so on; an
    edge that no such way has taken runs in a lane that is free all along it.

    Args:
        sizes: width and height of every box.
        edges: from a box to a later one.
        beside: box to the one that it stands beside, in the same row; it has no edge but to that one.
        labels: width and height that the words on an edge need.
        downwards: rows follow each other from top to bottom; else from left to right.
    """
    beside = beside or {}
    if not downwards:
        sizes, labels = [(height, width) for width, height in sizes], (labels[1], labels[0])
    rows = _rows(len(sizes), edges, beside)
    lanes, ways = _lanes(rows, edges, beside)
    room = (_NARROW, labels[0]) if downwards else (labels[0], _NARROW)
    plan = _Plan(sizes, edges, rows, lanes, ways, beside, room, labels[1])
    centers = [plan.center(box) for box in range(len(sizes))]
    lines = [plan.line(edge) for edge in range(len(edges))]
    words = [plan.words(edge) for edge in range(len(edges))]
    if not downwards:
        centers, lines, words = _turned(centers), [_turned(line) for line in lines], _turned(words)
    width, height = plan.size if downwards else plan.size[::-1]
    return Placement((width, height), tuple(centers), tuple(tuple(line) for line in lines), tuple(words))


def _turned(points: Sequence[Point]) -> list[Point]:
    return [(y, x) for x, y in points]


def _rows(count: int, edges: Edges, beside: Mapping[int, int]) -> list[int]:
    """Return the row of every box; a box without inputs is placed just before the first that uses it."""
    rows = [0] * count
    inner = sorted((edge for edge in edges if edge[0] not in beside), key=lambda edge: edge[1])
    for start, end in inner:
        rows[end] = max(rows[end], rows[start] + 1)
    made = {end for _, end in inner}
    for box in set(range(count)) - made:
        rows[box] = max(0, min((rows[end] for start, end in inner if start == box), default=0) - 1)
    for box, owner in beside.items():
        rows[box] = rows[owner]
    return rows


def _lanes(
    rows: Sequence[int], edges: Edges, beside: Mapping[int, int]
) -> tuple[dict[int, int], dict[int, int]]:
    """Return the lane of every box, and of every edge by its number.

    In a lane a row is slot 2r and the gap after it slot 2r + 1; each is taken once.
    """
    taken: set[tuple[int, int]] = set()
    lanes: dict[int, int] = {}
    ways: dict[int, int] = {}
    inner = {number: edge for number, edge in enumerate(edges) if edge[0] not in beside}

    def free(first: int, last: int, wanted: Sequence[int] = ()) -> int:
        """Take the first lane in which some slots are free."""
        lane: int = next(
            lane
            for lane in [*wanted, *range(len(rows) + len(edges) + 1)]
            if not any((lane, slot) in taken for slot in range(first, last + 1))
        )
        taken.update((lane, slot) for slot in range(first, last + 1))
        return lane

    left = set(range(len(rows))) - set(beside)
    while left:
        way = _longest_way(left, inner.values())
        into = [number for number, (_, end) in inner.items() if end == way[0]]
        out = [number for number, (start, _) in inner.items() if start == way[-1]]
        before = max(into, key=lambda number: rows[inner[number][0]], default=None)
        after = min(out, key=lambda number: rows[inner[number][1]], default=None)
        first = 2 * rows[way[0]] if before is None else 2 * rows[inner[before][0]] + 1
        last = 2 * rows[way[-1]] if after is None else 2 * rows[inner[after][1]] - 1
        lane = free(first, last)
        lanes |= dict.fromkeys(way, lane)
        numbers = {edge: number for number, edge in reversed(inner.items())}
        along = [numbers[pair] for pair in pairwise(way)]
        ways |= dict.fromkeys([*along, *(each for each in (before, after) if each is not None)], lane)
        left -= set(way)
    for number, (start, end) in inner.items():
        if number not in ways:
            wanted = (lanes[end], lanes[start]) if rows[end] == rows[start] + 1 else ()
            ways[number] = free(2 * rows[start] + 1, 2 * rows[end] - 1, wanted)
    return lanes, ways


def _longest_way(boxes: set[int], edges: Iterable[tuple[int, int]]) -> list[int]:
    """Return the longest path through some boxes, the first of several."""
    length = dict.fromkeys(boxes, 1)
    following: dict[int, int] = {}
    for start, end in sorted(edges, reverse=True):
        if start in boxes and end in boxes and length[end] + 1 >= length[start]:
            length[start], following[start] = length[end] + 1, end
    way = [max(sorted(boxes), key=lambda box: length[box])]
    while way[-1] in following:
        way.append(following[way[-1]])
    return way


class _Plan:
    """Measures of rows and lanes, for rows from top to bottom."""

    def __init__(
        self,
        sizes: Sequence[Point],
        edges: Edges,
        rows: Sequence[int],
        lanes: Mapping[int, int],
        ways: Mapping[int, int],
        beside: Mapping[int, int],
        room: Point,
        words_height: float,
    ) -> None:
        self.sizes, self.edges, self.rows = sizes, edges, rows
        self.lanes, self.ways, self.owners = lanes, ways, beside
        self.stacks = {owner: [box for box in beside if beside[box] == owner] for owner in beside.values()}
        self.middles, width = self._measured_lanes(room)
        height = self._measure_rows(words_height)
        self.size = width, height

    def center(self, box: int) -> Point:
        """Return where the middle of a box is."""
        owner = self.owners.get(box)
        if owner is None:
            row = self.rows[box]
            return self.middles[self.lanes[box]], self.tops[row] + self.heights[row] / 2
        x, y = self.center(owner)
        stack = self.stacks[owner]
        before = stack[: stack.index(box)]
        top = y - self._stack_height(owner) / 2 + sum(self.sizes[each][1] + _STACK for each in before)
        widest = max(self.sizes[each][0] for each in stack)
        return x - self.sizes[owner][0] / 2 - _BESIDE - widest / 2, top + self.sizes[box][1] / 2

    def line(self, edge: int) -> list[Point]:
        """Return the corners of an edge."""
        start, end = self.edges[edge]
        if start in self.owners:
            (x, y), (to_x, to_y) = self.center(start), self.center(end)
            low, high = (to_y + side * (self.sizes[end][1] / 2 - _STACK) for side in (-1, 1))
            at = min(max(y, low), high)
            return [(x + self.sizes[start][0] / 2, y), (to_x - self.sizes[end][0] / 2, at)]
        middle = self.middles[self.ways[edge]]
        points = [self._port(start, self.ways[edge], 1)]
        if self.ways[edge] != self.lanes[start]:
            track = self.tracks[start, True]
            points += [(points[0][0], track), (middle, track)]
        arrival = self._port(end, self.ways[edge], -1)
        if self.ways[edge] != self.lanes[end]:
            track = self.tracks[end, False]
            points += [(middle, track), (arrival[0], track)]
        return [*points, arrival]

    def words(self, edge: int) -> Point:
        """Return where the words on an edge go: where it runs in its lane."""
        start, end = self.edges[edge]
        if start in self.owners:
            return 0.0, 0.0
        row = self.rows[end] - 1 if self.ways[edge] == self.lanes[end] else self.rows[start]
        return self.middles[self.ways[edge]], self.words_at[row]

    def _port(self, box: int, lane: int, side: int) -> Point:
        """Return where on its border a line to or from a lane meets a box."""
        x, y = self.center(box)
        width, height = self.sizes[box]
        own = self.lanes[box]
        aside = 0.0 if lane == own else (width / 2 - _PORT) * (1 if lane > own else -1)
        return x + aside, y + side * height / 2

    def _other(self, edge: int, end: int, lane: int) -> bool:
        """Return whether one end of an edge is in another lane than the edge."""
        return self.lanes[self.edges[edge][end]] != lane

    def _stack_height(self, owner: int) -> float:
        stack = self.stacks.get(owner, [])
        return sum(self.sizes[box][1] + _STACK for box in stack) - (_STACK if stack else 0)

    def _measured_lanes(self, room: Point) -> tuple[dict[int, float], float]:
        """Return the middle of each lane, and the width of all; words need room on either side of it."""
        middles: dict[int, float] = {}
        edge: float = _MARGIN
        for lane in sorted({*self.ways.values(), *self.lanes.values()}):
            before, after = room
            for box in (box for box in self.lanes if self.lanes[box] == lane):
                half = self.sizes[box][0] / 2
                aside = max((self.sizes[each][0] + _BESIDE for each in self.stacks.get(box, ())), default=0)
                before, after = max(before, half + aside), max(after, half)
            middles[lane] = edge + before
            edge = middles[lane] + after + _LANES
        return middles, edge - _LANES + _MARGIN

    def _measure_rows(self, words_height: float) -> float:
        """Find where rows begin, their heights, and a track for each box that has lines to other lanes."""
        count = 1 + max(self.rows)
        leaving, coming = (
            sorted(
                {self.edges[edge][end] for edge, lane in self.ways.items() if self._other(edge, end, lane)}
            )
            for end in (0, 1)
        )
        self.heights = [0.0] * count
        for box in self.lanes:
            row = self.rows[box]
            self.heights[row] = max(self.heights[row], self.sizes[box][1], self._stack_height(box))
        self.tops, self.words_at = [float(_MARGIN)], []
        self.tracks: dict[tuple[int, bool], float] = {}
        for row in range(count):
            place = self.tops[row] + self.heights[row]
            for box in (box for box in leaving if self.rows[box] == row):
                place += _TRACK
                self.tracks[box, True] = place
            self.words_at.append(place + _TRACK + words_height / 2)
            place += words_height + _TRACK
            for box in (box for box in coming if self.rows[box] == row + 1):
                place += _TRACK
                self.tracks[box, False] = place
            self.tops.append(place + 2 * _TRACK)
        return self.tops[count - 1] + self.heights[count - 1] + _MARGIN
