import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sfumato.document.brush import Stroke, dab


def blank(width=200, height=200):
    return np.zeros((height, width), np.uint8)


def test_a_hard_dab_is_a_disc_of_the_size_asked_for():
    mask = blank()
    Stroke(mask, 60, hardness=1).to(100, 100)
    assert mask.sum() / 255 == pytest.approx(np.pi * 30**2, rel=0.01)
    assert mask[100, 100] == 255
    assert_array_equal(mask, mask[::-1])
    assert_array_equal(mask, mask.T)
    edge = (mask > 0) & (mask < 255)
    assert edge.sum() < 400, "the edge is about a pixel wide"


def test_a_soft_dab_falls_from_the_middle_and_ends_at_the_radius():
    soft = dab(50, 50, (100, 100), 40, hardness=0)
    profile = soft[50, 50:].astype(int)
    assert (np.diff(profile) <= 0).all()
    assert profile[0] >= 254
    assert profile[20] == pytest.approx(127, abs=8)
    assert not soft[50, 91:].any()
    half = dab(50, 50, (100, 100), 40, hardness=0.5)
    assert (half[50, 50:69] == 255).all()
    assert (half >= soft).all()


def test_a_stroke_does_not_build_up():
    once, thrice = blank(), blank()
    stroke = Stroke(once, 50, hardness=0.2)
    stroke.to(40, 100)
    stroke.to(160, 100)
    back_and_forth = Stroke(thrice, 50, hardness=0.2)
    back_and_forth.to(40, 100)
    for x in (160, 40, 160):
        back_and_forth.to(x, 100)
    assert_array_equal(once, thrice)


def test_a_stroke_has_no_gaps_or_scallops():
    mask = blank()
    stroke = Stroke(mask, 30, hardness=1)
    stroke.to(20, 100)
    stroke.to(180, 100)
    row = mask[100 - 13, 25:175]
    assert (row == 255).all()
    assert np.ptp(mask[100 - 15, 25:175].astype(int)) < 60


def test_a_stroke_keeps_soft_values_it_does_not_exceed():
    mask = np.full((100, 100), 200, np.uint8)
    Stroke(mask, 40, hardness=0).to(50, 50)
    assert mask.min() == 200
    assert mask[50, 50] >= 254


def test_erasing_is_painting_the_inverse():
    painted, erased = blank(), np.full((200, 200), 255, np.uint8)
    for stroke in (Stroke(painted, 50, 0.3), Stroke(erased, 50, 0.3, erase=True)):
        stroke.to(60, 60)
        stroke.to(120, 90, 0.5)
    assert_array_equal(erased, 255 - painted)


def test_the_dirty_rectangle_holds_every_change():
    rng = np.random.default_rng(4)
    mask = blank(120, 90)
    stroke = Stroke(mask, 25, 0.5)
    for x, y, pressure in rng.uniform((-30, -30, 0), (150, 120, 1), (30, 3)):
        before = mask.copy()
        left, top, right, bottom = stroke.to(x, y, pressure)
        changed = mask != before
        changed[top:bottom, left:right] = False
        assert not changed.any()


def test_outside_the_canvas_nothing_happens():
    mask = blank()
    stroke = Stroke(mask, 30)
    assert stroke.to(-500, -500) == (0, 0, 0, 0)
    assert not stroke.finish().boxes


def test_the_smallest_brush_paints_its_pixel():
    mask = blank(9, 9)
    Stroke(mask, 1).to(4.5, 4.5)
    assert mask[4, 4] == 255
    assert mask.sum() < 255 * 3


def test_pressure_thins_the_stroke():
    areas = []
    for pressure in (0.25, 0.5, 1.0):
        mask = blank()
        Stroke(mask, 100).to(100, 100, pressure)
        areas.append(int(mask.sum()))
    assert areas[2] == pytest.approx(4 * areas[1], rel=0.05)
    assert areas[1] == pytest.approx(4 * areas[0], rel=0.05)
