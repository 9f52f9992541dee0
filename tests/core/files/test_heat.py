"""Numbers as colours."""

from __future__ import annotations

import numpy as np

from sfumato.files.heat import heat


def brightness(colours: np.ndarray) -> np.ndarray:
    return colours @ np.array([0.2126, 0.7152, 0.0722])


def test_more_is_brighter_so_that_grey_print_and_every_eye_can_read_it() -> None:
    ramp = heat(np.linspace(0, 3, 256)[None])
    assert ramp.shape == (1, 256, 3)
    assert ramp.dtype == np.uint8
    assert (np.diff(brightness(ramp[0])) > -0.8).all(), "never darker by more than rounding"
    assert brightness(ramp[0, -1]) - brightness(ramp[0, 0]) > 150


def test_its_ends_are_nothing_and_the_largest_or_what_is_called_the_top() -> None:
    low, high = heat(np.array([[0.0, 5.0]]))[0]
    assert np.array_equal(heat(np.array([[0.0, 1.0]]), top=1.0)[0], [low, high])
    assert np.array_equal(heat(np.array([[-1.0, 9.0]]), top=1.0)[0], [low, high])
    assert not np.array_equal(heat(np.array([[5.0]]), top=10.0)[0, 0], high)


def test_nothing_anywhere_is_dark_and_what_is_no_number_too() -> None:
    assert len(np.unique(heat(np.zeros((3, 3))).reshape(-1, 3), axis=0)) == 1
    dark, bright = heat(np.array([[np.nan, 1.0]]))[0]
    assert np.array_equal(dark, heat(np.zeros((1, 1)))[0, 0])
    assert not np.array_equal(dark, bright)
