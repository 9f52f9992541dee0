"""Whole-mask commands: everything, nothing, the other way round."""

from __future__ import annotations

import numpy as np

from sfumato.document.commands import SetMask
from sfumato.document.layers import Document


def everything(document: Document) -> SetMask:
    """A mask that lets every pixel change."""
    return SetMask(np.full((document.height, document.width), 255, np.uint8), "Select all")


def nothing(document: Document) -> SetMask:
    """No mask: the edit is not confined."""
    return SetMask(None, "Remove mask")


def inverted(document: Document) -> SetMask:
    """Swap what may change and what must not; without a mask everything may, so then nothing."""
    mask = (
        np.full((document.height, document.width), 255, np.uint8) if document.mask is None else document.mask
    )
    return SetMask(255 - mask, "Invert mask")
