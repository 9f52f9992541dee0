"""A soft round brush on the edit mask."""

from __future__ import annotations

import math

import numpy as np

from sfumato.document.geometry import NOTHING, Rect, intersect, is_empty, unite, window
from sfumato.document.mask_commands import PaintMask
from sfumato.method import Mask

TILE = 64
"""Side of the tiles a stroke keeps for undo."""
SPACING = 0.1
"""Distance between dabs, in diameters: close enough for a smooth edge."""


class Stroke:
    """One stroke of the brush. It paints into `mask` at once, and `finish` gives the command to undo it.

    Inside a stroke coverage is the maximum over its dabs, so going over a place again adds nothing. `size`
    is the diameter in pixels, scaled by pressure; `hardness` 1 is a crisp edge, 0 falls off from the centre.
    """

    def __init__(self, mask: Mask, size: float, hardness: float = 1.0, erase: bool = False) -> None:
        self.mask = mask
        self.size = max(float(size), 1.0)
        self.hardness = min(max(float(hardness), 0.0), 1.0)
        self.erase = erase
        self._last: tuple[float, float, float] | None = None
        self._before: dict[Rect, Mask] = {}

    def to(self, x: float, y: float, pressure: float = 1.0) -> Rect:
        """Carry the brush to (x, y) in document pixels (the first is centred on 0.5); return what changed."""
        start = self._last or (x, y, pressure)
        self._last = x, y, pressure
        step = max(SPACING * self.size * min(start[2], pressure), 0.5)
        dabs = math.ceil(math.hypot(x - start[0], y - start[1]) / step)
        dirty = NOTHING
        for number in range(1, max(dabs, 1) + 1):
            share = number / max(dabs, 1)
            at = (a + (b - a) * share for a, b in zip(start, self._last, strict=True))
            dirty = unite(dirty, self._dab(*at))
        return dirty

    def finish(self) -> PaintMask:
        """End the stroke; return the command that holds the tiles it touched, before and after."""
        boxes = tuple(
            box for box, tile in self._before.items() if not np.array_equal(tile, self.mask[window(box)])
        )
        before = tuple(self._before[box] for box in boxes)
        after = tuple(self.mask[window(box)].copy() for box in boxes)
        return PaintMask(boxes, before, after, "Erase mask" if self.erase else "Paint mask")

    def _dab(self, x: float, y: float, pressure: float) -> Rect:
        radius = max(self.size * min(max(pressure, 0.0), 1.0), 1.0) / 2
        reach = radius + 0.5
        box = math.floor(x - reach), math.floor(y - reach), math.ceil(x + reach), math.ceil(y + reach)
        inside = intersect(box, (0, 0, self.mask.shape[1], self.mask.shape[0]))
        if is_empty(inside):
            return NOTHING
        self._remember(inside)
        stamp = dab(
            x - inside[0],
            y - inside[1],
            (inside[2] - inside[0], inside[3] - inside[1]),
            radius,
            self.hardness,
        )
        target = self.mask[window(inside)]
        if self.erase:
            np.minimum(target, 255 - stamp, out=target)
        else:
            np.maximum(target, stamp, out=target)
        return inside

    def _remember(self, box: Rect) -> None:
        height, width = self.mask.shape
        for top in range(box[1] // TILE * TILE, box[3], TILE):
            for left in range(box[0] // TILE * TILE, box[2], TILE):
                tile = left, top, min(left + TILE, width), min(top + TILE, height)
                if tile not in self._before:
                    self._before[tile] = self.mask[window(tile)].copy()


def dab(x: float, y: float, size: tuple[int, int], radius: float, hardness: float) -> Mask:
    """One touch centred on (x, y) in an array of (width, height): 255 inside, smoothly to 0 at `radius`."""
    inner = min(hardness * radius, radius - 0.5)
    outer = max(radius, inner + 1)
    across = (np.arange(size[0], dtype=np.float32) + np.float32(0.5 - x)) ** 2
    down = (np.arange(size[1], dtype=np.float32) + np.float32(0.5 - y)) ** 2
    distance = np.sqrt(down[:, None] + across)
    ramp = np.clip((outer - distance) / (outer - inner), 0, 1)
    return (255 * ramp * ramp * (3 - 2 * ramp) + 0.5).astype(np.uint8)
