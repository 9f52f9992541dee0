import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.testing import assert_array_equal

from sfumato.document import masks

small = arrays.arrays(
    np.uint8,
    st.tuples(st.integers(1, 24), st.integers(1, 24)),
    elements=st.sampled_from([0, 0, 0, 1, 128, 255]),
)


def spot(side=101, *, value=255):
    mask = masks.empty(side, side)
    mask[side // 2, side // 2] = value
    return mask


def test_the_simple_ones():
    mask = masks.empty(3, 2)
    mask[1, 2] = 40
    assert mask.shape == (2, 3)
    assert masks.bounding_box(mask) == (2, 1, 3, 2)
    assert masks.bounding_box(masks.clear(mask)) is None
    assert masks.is_empty(masks.clear(mask))
    assert not masks.is_empty(mask)
    assert_array_equal(masks.fill(mask), masks.full(3, 2))
    assert masks.invert(mask)[1, 2] == 215
    assert_array_equal(masks.invert(masks.invert(mask)), mask)


@pytest.mark.parametrize("radius", [1, 2, 3, 5, 8, 20, 40])
def test_growing_a_point_gives_a_disc_as_near_as_an_octagon_comes(radius):
    grown = masks.grow(spot(), radius)
    assert masks.bounding_box(grown) == (50 - radius, 50 - radius, 51 + radius, 51 + radius)
    assert_array_equal(grown, grown.T)
    y, x = np.nonzero(grown)
    reach = np.hypot(y - 50, x - 50).max()
    assert radius <= reach <= radius * 1.09 + 0.75
    inside = np.hypot(*np.mgrid[-50:51, -50:51]) <= radius * 0.97 - 0.75
    assert grown[inside].all()


@settings(max_examples=100)
@given(small, st.integers(0, 9))
def test_growing_is_the_maximum_over_a_neighbourhood(mask, radius):
    shape = masks.grow(spot(41), radius) > 0
    offsets = np.argwhere(shape) - 20
    expected = mask.copy()
    for dy, dx in offsets:
        height, width = mask.shape
        rows = slice(max(dy, 0), min(height + dy, height))
        columns = slice(max(dx, 0), min(width + dx, width))
        if rows.start < rows.stop and columns.start < columns.stop:
            source = mask[rows.start - dy : rows.stop - dy, columns.start - dx : columns.stop - dx]
            np.maximum(expected[rows, columns], source, out=expected[rows, columns])
    assert_array_equal(masks.grow(mask, radius), expected)


@settings(max_examples=50)
@given(small, st.integers(0, 9))
def test_shrinking_never_adds_and_keeps_the_documents_border(mask, radius):
    shrunk = masks.shrink(mask, radius)
    assert (shrunk <= mask).all()
    assert_array_equal(masks.shrink(masks.fill(mask), radius), masks.fill(mask))


@settings(max_examples=100)
@given(small, st.floats(0, 20))
def test_feathering_goes_inwards_only(mask, radius):
    feathered = masks.feather(mask, radius)
    assert (feathered <= mask).all()
    assert not feathered[mask == 0].any()


def test_feathering_makes_a_ramp_of_the_width_asked_for():
    mask = masks.empty(200, 100)
    mask[:, 100:] = 255
    profile = masks.feather(mask, 20)[50].astype(int)
    assert not profile[:100].any()
    assert (np.diff(profile) >= 0).all()
    assert 0 < profile[102] < 80
    assert profile[110] == pytest.approx(128, abs=15)
    assert (profile[122:] == 255).all()


def test_feathering_scales_soft_values_and_leaves_the_inside():
    mask = masks.empty(100, 100)
    mask[20:80, 20:80] = 100
    feathered = masks.feather(mask, 10)
    assert (feathered[35:65, 35:65] == 100).all()
    assert 0 < feathered[50, 22] < 100


def test_no_operation_touches_what_it_was_given():
    mask = masks.empty(40, 40)
    mask[10:30, 10:30] = 128
    kept = mask.copy()
    for operation in (masks.invert, masks.clear, masks.fill):
        operation(mask)[...] = 7
    for operation in (masks.grow, masks.shrink, masks.feather):
        for radius in (0, 3):
            operation(mask, radius)[...] = 7
    assert_array_equal(mask, kept)
