"""Rectangles in document pixels: (left, top, right, bottom), right and bottom excluded."""

from __future__ import annotations

Rect = tuple[int, int, int, int]

NOTHING: Rect = (0, 0, 0, 0)


def is_empty(rect: Rect) -> bool:
    """Say whether the rectangle holds no pixel."""
    return rect[0] >= rect[2] or rect[1] >= rect[3]


def intersect(a: Rect, b: Rect) -> Rect:
    """Return what two rectangles share; `NOTHING` if they do not meet."""
    shared = (max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))
    return NOTHING if is_empty(shared) else shared


def unite(a: Rect, b: Rect) -> Rect:
    """Return the smallest rectangle around both; an empty one adds nothing."""
    if is_empty(a) or is_empty(b):
        return a if is_empty(b) else b
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def shift(rect: Rect, dx: int, dy: int) -> Rect:
    """Return the rectangle moved by (dx, dy)."""
    return rect[0] + dx, rect[1] + dy, rect[2] + dx, rect[3] + dy


def window(rect: Rect) -> tuple[slice, slice]:
    """Return (rows, columns), ready to index an array with."""
    return slice(rect[1], rect[3]), slice(rect[0], rect[2])
