"""Preprocessors: lines where the picture changes, flat areas of few colours, any size, nothing lost."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sfumato.plugins import describe_preprocessor
from sfumato.preprocessor import Preprocessor, control_picture
from sfumato_plugins.control_images import (
    Canny,
    CannyParams,
    Scribble,
    ScribbleParams,
    Segmentation,
    SegmentationParams,
    SoftEdge,
    SoftEdgeParams,
    register_controls,
)

PREPROCESSORS = [pytest.param(each, id=each.name) for each in register_controls()]
LEFT, RIGHT = 20, 44
"""The square covers rows and columns from LEFT to before RIGHT."""


@pytest.fixture
def square() -> NDArray[np.uint8]:
    """64 x 64: a light square on dark ground."""
    picture = np.full((64, 64, 3), 30, np.uint8)
    picture[LEFT:RIGHT, LEFT:RIGHT] = 220
    return picture


def ring(reach: int) -> NDArray[np.bool_]:
    """The pixels within `reach` of the square's outline."""
    y, x = np.mgrid[:64, :64]
    outer = np.maximum(np.abs(x - 31.5), np.abs(y - 31.5))
    return np.abs(outer - 12) <= reach + 0.5


def test_canny_draws_the_outline_of_a_square_and_nothing_else(square: NDArray[np.uint8]) -> None:
    lines = Canny().make(square, CannyParams())[..., 0] == 255
    assert not lines[~ring(1)].any()
    rows, columns = lines.any(axis=1), lines.any(axis=0)
    assert rows[LEFT - 1 : RIGHT + 1].sum() >= 24
    assert columns[LEFT - 1 : RIGHT + 1].sum() >= 24
    assert lines[30].sum() == 2, "one thin line on each side"


def test_cannys_thresholds_decide_what_is_an_edge(square: NDArray[np.uint8]) -> None:
    faint = square // 8
    assert not Canny().make(faint, CannyParams()).any()
    assert Canny().make(faint, CannyParams(low=20, high=40)).any()


def test_canny_is_that_of_opencv_at_the_public_networks_thresholds(square: NDArray[np.uint8]) -> None:
    import cv2

    noisy = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    assert np.array_equal(Canny().make(noisy, CannyParams())[..., 1], cv2.Canny(noisy, 100, 200))


def test_soft_edges_are_brightest_on_the_outline_and_follow_contrast(square: NDArray[np.uint8]) -> None:
    edges = SoftEdge().make(square, SoftEdgeParams())[..., 0]
    assert edges[ring(0)].min() > 150
    assert not edges[~ring(10)].any()
    profile = edges[31, 10:21].astype(int)
    assert (np.diff(profile) >= 0).all(), "they rise towards the line"
    assert 0 < SoftEdge().make(square // 8, SoftEdgeParams())[..., 0].max() < edges.max()


def test_a_scribble_is_thick_and_leaves_out_specks(square: NDArray[np.uint8]) -> None:
    square[5:8, 5:8] = 220
    thin = Scribble().make(square, ScribbleParams(thickness=1, simplify=1))[..., 0] > 0
    thick = Scribble().make(square, ScribbleParams(thickness=5, simplify=1))[..., 0] > 0
    assert not thin[:12, :12].any(), "the speck is too short a stroke"
    assert thick.sum() > 3 * thin.sum()
    assert not thick[~ring(4)].any()
    speck = Scribble().make(square, ScribbleParams(thickness=1, simplify=1, shortest=0))[..., 0] > 0
    assert speck[:12, :12].any()


def test_segmentation_leaves_few_colours_in_flat_areas() -> None:
    quarters = np.zeros((64, 64, 3), np.uint8)
    colours = np.array([[200, 30, 30], [30, 200, 30], [30, 30, 200], [220, 220, 40]])
    for k, colour in enumerate(colours):
        quarters[32 * (k // 2) : 32 * (k // 2) + 32, 32 * (k % 2) : 32 * (k % 2) + 32] = colour
    noise = np.random.default_rng(0).integers(-12, 13, quarters.shape)
    noisy = np.clip(quarters + noise, 0, 255).astype(np.uint8)
    flat = Segmentation().make(noisy, SegmentationParams(colours=4, tidy=3))
    assert len(np.unique(flat.reshape(-1, 3), axis=0)) == 4
    for k, colour in enumerate(colours):
        area = flat[32 * (k // 2) : 32 * (k // 2) + 32, 32 * (k % 2) : 32 * (k % 2) + 32]
        middle = area[4:-4, 4:-4].reshape(-1, 3)
        assert (middle == middle[0]).all(), "one colour to an area"
        assert np.abs(middle[0].astype(int) - colour).max() <= 4, "its own"


def test_tidying_removes_specks_and_keeps_the_rest(square: NDArray[np.uint8]) -> None:
    square[5, 5] = 220
    kept = Segmentation().make(square, SegmentationParams(colours=2, tidy=0))
    tidied = Segmentation().make(square, SegmentationParams(colours=2, tidy=2))
    assert (kept[5, 5] == kept[31, 31]).all()
    assert (tidied[5, 5] == tidied[0, 0]).all()
    assert (tidied[31, 31] != tidied[0, 0]).any()


@pytest.mark.parametrize("preprocessor", PREPROCESSORS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 2), (33, 64)])
def test_any_size_comes_back_at_its_size(preprocessor: Preprocessor[Any], size: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    before = picture.copy()
    made = preprocessor.make(picture, preprocessor.params())
    assert (made.shape, made.dtype) == (picture.shape, np.uint8)
    assert np.array_equal(made, preprocessor.make(picture, preprocessor.params())), "the same each time"
    assert np.array_equal(picture, before), "the picture is left alone"


@pytest.mark.parametrize("preprocessor", PREPROCESSORS)
def test_a_flat_picture_has_no_edges_and_one_area(preprocessor: Preprocessor[Any]) -> None:
    flat = np.full((32, 32, 3), 90, np.uint8)
    made = preprocessor.make(flat, preprocessor.params())
    assert (made == (90 if preprocessor.name in ("segmentation", "as_is") else 0)).all()


@pytest.mark.parametrize("preprocessor", PREPROCESSORS)
def test_a_documents_picture_keeps_size_and_alpha(preprocessor: Preprocessor[Any]) -> None:
    huge = np.zeros((1500, 2200, 4), np.uint8)
    huge[300:900, 500:1500] = 255
    huge[..., 3] = np.linspace(1, 255, 2200).astype(np.uint8)
    made = control_picture(preprocessor, preprocessor.params(), huge)
    assert (made.shape, made.dtype) == (huge.shape, np.uint8)
    assert np.array_equal(made[..., 3], huge[..., 3])


def test_a_huge_pictures_lines_are_as_wide_as_the_model_will_see_them() -> None:
    huge = np.full((2048, 2048, 4), 255, np.uint8)
    huge[:, :1024, :3] = 0
    made = control_picture(Canny(), CannyParams(), huge)
    assert 3 <= (made[1000, :, 0] > 100).sum() <= 8, "one line of 512, four times as large"
    assert abs(int(np.flatnonzero(made[1000, :, 0]).mean()) - 1024) <= 8


@pytest.mark.parametrize("preprocessor", PREPROCESSORS)
def test_it_describes_itself(preprocessor: Preprocessor[Any]) -> None:
    info = describe_preprocessor(preprocessor, "here")
    assert info.summary.endswith(".")
    for control in info.controls:
        assert control.help.endswith(".")
        assert len(control.label) < 30


def test_nothing_heavy_is_imported_until_a_control_image_is_made() -> None:
    program = (
        "import sys, sfumato_plugins.control_images as c; c.register_controls();"
        "assert not {'cv2', 'torch', 'skimage'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
