"""Only what changed and is seen is made again, at every size."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QRect, QSize
from PySide6.QtGui import QColor, QColorSpace, QImage
from PySide6.QtWidgets import QApplication

from sfumato_desktop import images
from sfumato_desktop.pyramid import Pyramid


class _Source:
    """One colour everywhere; remembers what it was asked for."""

    def __init__(self) -> None:
        self.colour = "red"
        self.asked: list[QRect] = []

    def __call__(self, rect: QRect) -> QImage:
        self.asked.append(rect)
        image = QImage(rect.size(), images.SCREEN_FORMAT)
        image.fill(QColor(self.colour))
        return image


@pytest.fixture
def source(qapp: QApplication) -> _Source:
    return _Source()


def test_nothing_is_made_before_it_is_seen(source: _Source) -> None:
    pyramid = Pyramid(QSize(1000, 700), source)
    assert source.asked == []
    pyramid.refresh(QRect(0, 0, 10, 10))
    assert source.asked == [QRect(0, 0, 10, 10)]


def test_a_change_reaches_every_level_and_only_its_rectangle(source: _Source) -> None:
    pyramid = Pyramid(QSize(1000, 700), source)
    pyramid.refresh(QRect(0, 0, 1000, 700))
    source.colour, source.asked = "blue", []
    pyramid.invalidate(QRect(400, 200, 64, 64))
    pyramid.refresh(QRect(0, 0, 1000, 700))
    assert source.asked == [QRect(400, 200, 64, 64)]
    for level, image in enumerate(pyramid.levels):
        inside = image.pixelColor((400 + 32) >> level, (200 + 32) >> level)
        outside = image.pixelColor(100 >> level, 100 >> level)
        assert (inside.name(), outside.name()) == ("#0000ff", "#ff0000")


def test_large_parts_are_made_in_tiles(source: _Source) -> None:
    pyramid = Pyramid(QSize(3000, 1500), source)
    pyramid.refresh(QRect(0, 0, 3000, 1500))
    assert max(max(rect.width(), rect.height()) for rect in source.asked) <= 1024
    assert sum(rect.width() * rect.height() for rect in source.asked) == 3000 * 1500


def test_opaque_pixels_reach_the_screen_as_they_are(qapp: QApplication, pixels: np.ndarray) -> None:
    assert np.array_equal(images.from_image(images.picture(pixels)), pixels)


def test_wide_gamut_is_converted_for_the_screen_and_back(qapp: QApplication) -> None:
    profile = QColorSpace(QColorSpace.NamedColorSpace.AdobeRgb).iccProfile().data()
    pixels = np.full((4, 4, 4), (60, 160, 60, 255), np.uint8)
    shown = images.picture(pixels, images.colour_space(bytes(profile)))
    assert shown.pixelColor(1, 1).red() < 60, (
        "Adobe RGB green is greener than sRGB can say with the same numbers"
    )
    back = images.from_image(images.to_image(pixels, bytes(profile)), bytes(profile))
    assert np.abs(back.astype(int) - pixels).max() <= 1


def test_no_profile_and_a_broken_one_are_taken_as_srgb() -> None:
    assert images.colour_space(None) is None
    assert images.colour_space(b"not a profile") is None
