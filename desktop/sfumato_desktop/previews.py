"""The picture in the making, made ready for the canvas."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QImage

from sfumato.events import Advanced
from sfumato.method import Mask
from sfumato_desktop.scene import Preview

_LARGEST = 512
"""A preview is a few dozen pixels wide; more than this many are not worth making."""


def preview_of(event: Advanced, mask: Mask | None) -> Preview:
    """The event's preview over its region, seen only through the job's mask."""
    assert event.box is not None, "a preview needs its region"
    if event.preview is None:
        return Preview(event.box)
    small = np.ascontiguousarray(event.preview)
    height, width = small.shape[:2]
    image = QImage(small.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    left, top, right, bottom = event.box
    size = QSize(right - left, bottom - top)
    if max(size.width(), size.height()) > _LARGEST:
        size.scale(_LARGEST, _LARGEST, Qt.AspectRatioMode.KeepAspectRatio)
    shown = _scaled(image, size).convertToFormat(QImage.Format.Format_ARGB32)
    if mask is not None:
        part = np.ascontiguousarray(mask[top:bottom, left:right])
        height, width = part.shape
        alpha = QImage(part.data, width, height, width, QImage.Format.Format_Grayscale8)
        shown.setAlphaChannel(_scaled(alpha, size))
    return Preview(event.box, shown.convertToFormat(QImage.Format.Format_ARGB32_Premultiplied))


def _scaled(image: QImage, size: QSize) -> QImage:
    smooth = Qt.TransformationMode.SmoothTransformation
    return image.scaled(size, Qt.AspectRatioMode.IgnoreAspectRatio, smooth)
