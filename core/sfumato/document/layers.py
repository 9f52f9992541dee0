"""The document: a stack of layers, the edit mask, and what the picture brought along (profile, EXIF)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sfumato.document.geometry import Rect
from sfumato.method import Mask, Pixels, Recipe

__all__ = ["Document", "EditInfo", "Layer", "Rect"]


def _new_id() -> str:
    return uuid.uuid4().hex


@dataclass(frozen=True, eq=False)
class EditInfo:
    """What an edit layer remembers of the run that made it."""

    recipe: Recipe
    mask: Mask | None
    """The edit mask of that run, document size; a copy of its own, for the document's mask is painted on."""
    provenance: dict[str, Any]
    """Hashes, versions, precision, threads: what replaying needs. Plain JSON."""
    candidates: tuple[Pixels, ...]
    chosen: int
    """Index into `candidates` of the one the layer shows."""
    below: str
    """What it was computed from, as `compositor.hash_below` gave it; "" if from words alone. Once that
    differs, the layer is stale."""


@dataclass(eq=False)
class Layer:
    """A picture at a place in the document; it may reach beyond the canvas."""

    name: str
    pixels: Pixels
    left: int = 0
    top: int = 0
    visible: bool = True
    opacity: float = 1.0
    edit: EditInfo | None = None
    id: str = field(default_factory=_new_id)

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if self.pixels.dtype != np.uint8 or len(shape) != 3 or shape[2] != 4 or 0 in shape:
            raise ValueError(f"a layer needs (H, W, 4) uint8 pixels, not {shape} {self.pixels.dtype}")
        self.pixels = np.ascontiguousarray(self.pixels)

    @property
    def box(self) -> Rect:
        """The layer's rectangle in document pixels."""
        height, width = self.pixels.shape[:2]
        return self.left, self.top, self.left + width, self.top + height


@dataclass(eq=False)
class Document:
    """One open picture. Plain data: commands change it, and whoever runs them tells the rest."""

    width: int
    height: int
    layers: list[Layer] = field(default_factory=list)
    """Bottom first."""
    mask: Mask | None = None
    """The edit mask, (height, width); None means the whole picture may change. Strokes paint into it."""
    profile: bytes | None = None
    """ICC profile of all layers; None means sRGB."""
    exif: bytes | None = None
    title: str = ""
    recipe: Recipe = field(default_factory=Recipe)
    """What the edit panel shows; saved with the project."""
    source_path: Path | None = None
    """The picture or project it was opened from."""
    notes: tuple[str, ...] = ()
    """Sentences for the person: what opening the file had to decide or leave out."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"a document needs at least one pixel, not {self.width} x {self.height}")
        if self.mask is not None and self.mask.shape != (self.height, self.width):
            raise ValueError(f"the mask is {self.mask.shape}, the document {self.height} x {self.width}")

    @property
    def bounds(self) -> Rect:
        """The canvas."""
        return 0, 0, self.width, self.height

    def index(self, layer_id: str) -> int:
        """Return where in the stack a layer is, counted from the bottom. Raises `KeyError`."""
        for index, layer in enumerate(self.layers):
            if layer.id == layer_id:
                return index
        raise KeyError(layer_id)

    def layer(self, layer_id: str) -> Layer:
        """Return the layer with this id. Raises `KeyError`."""
        return self.layers[self.index(layer_id)]
