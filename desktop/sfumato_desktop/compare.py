"""Before and after: what the picture was without its edits."""

from __future__ import annotations

import dataclasses

from sfumato.document.compositor import flatten
from sfumato.document.geometry import Rect
from sfumato.document.layers import Document
from sfumato.method import Pixels


def original(document: Document) -> Document:
    """The same document without its edit layers; pixels are shared."""
    return dataclasses.replace(document, layers=[layer for layer in document.layers if layer.edit is None])


def before(document: Document, rect: Rect | None = None) -> Pixels:
    """The original's pixels in `rect`, exactly."""
    return flatten(original(document), rect)
