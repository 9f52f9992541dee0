import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from sfumato.document.masks import empty, full
from sfumato.document.region import Region, choose_region, cut, cut_mask, model_size

SIZES = [(1, 1), (16, 4000), (4000, 16), (100, 80), (128, 128), (129, 128), (600, 400), (3000, 2000)]


def spot(size, box):
    mask = empty(*size)
    mask[box[1] : box[3], box[0] : box[2]] = 255
    return mask


@pytest.mark.parametrize("native", [128, 512])
@pytest.mark.parametrize("size", SIZES)
def test_without_a_mask_the_region_is_the_whole_document(size, native):
    region = choose_region(size, None, native=native, multiple=8)
    assert region.box == (0, 0, *size)
    assert choose_region(size, empty(*size), native=native, multiple=8) == region, "an empty mask is no mask"


@pytest.mark.parametrize("size", [(1, 1), (100, 80), (128, 128), (150, 100)])
def test_a_document_the_model_sees_in_full_is_the_region(size):
    mask = spot(size, (0, 0, 5, 5))
    assert choose_region(size, mask, native=128, multiple=8).box == (0, 0, *size)


@given(
    st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    st.sampled_from([(128, 8), (512, 8), (512, 64), (96, 16)]),
)
def test_the_models_size(size, model):
    native, multiple = model
    width, height = model_size(size, native, multiple)
    assert width % multiple == height % multiple == 0
    assert min(width, height) >= 4 * multiple
    if min(width, height) > 4 * multiple:
        assert abs(width * height / native**2 - 1) < 2.2 * multiple / min(width, height)
        assert abs(np.log(width / height * size[1] / size[0])) < 1.2 * multiple / min(width, height)
    else:
        assert width * height <= 1.3 * max(native**2, (4 * multiple) ** 2)
    assert model_size(size[::-1], native, multiple) == (height, width)


@st.composite
def masked(draw):
    width, height = draw(st.integers(1, 3000)), draw(st.integers(1, 3000))
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return (width, height), (
        left,
        top,
        draw(st.integers(left + 1, width)),
        draw(st.integers(top + 1, height)),
    )


@given(masked())
def test_the_region_holds_the_mask_and_lies_in_the_document(case):
    size, bounds = case
    left, top, right, bottom = choose_region(size, spot(size, bounds), native=128, multiple=8).box
    assert 0 <= left <= bounds[0] < bounds[2] <= right <= size[0]
    assert 0 <= top <= bounds[1] < bounds[3] <= bottom <= size[1]


def test_the_region_is_square_and_has_context():
    size = 3000, 2000
    for extent in (40, 200, 333, 500, 900):
        bounds = (1200, 700, 1200 + extent, 700 + extent // 2)
        left, top, right, bottom = choose_region(size, spot(size, bounds), native=128, multiple=8).box
        assert right - left == bottom - top
        assert right - left >= max(1.5 * extent, 128)
        assert right - left <= max(1.5 * 1.42 * extent + 4, 128)


def test_a_small_move_or_a_few_more_strokes_keep_the_region():
    size = 3000, 2000
    kept = moves = 0
    for left in range(800, 1600, 25):
        region = choose_region(size, spot(size, (left, 700, left + 300, 1000)), native=512, multiple=8)
        for dx, dy, more in ((6, 0, 0), (0, -6, 0), (-5, 5, 0), (0, 0, 8)):
            moved = spot(size, (left + dx, 700 + dy, left + dx + 300 + more, 1000 + dy))
            moves += 1
            kept += choose_region(size, moved, native=512, multiple=8) == region
    assert kept / moves > 0.9


def test_cutting_at_the_models_own_size_is_exact():
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (90, 100, 4), np.uint8)
    image[..., 3] = 255
    region = Region((10, 20, 42, 52), (32, 32))
    seen = cut(image, None, region)
    assert seen.dtype == np.float32
    assert_array_equal(seen, image[20:52, 10:42, :3].astype(np.float32) / 255)
    mask = rng.integers(0, 256, (90, 100), np.uint8)
    assert_array_equal(cut_mask(mask, region), mask[20:52, 10:42].astype(np.float32) / 255)


def test_cutting_lays_alpha_over_white():
    image = np.zeros((8, 8, 4), np.uint8)
    image[:4, :, 3] = 255
    image[2, :, 3] = 128
    seen = cut(image, None, Region((0, 0, 8, 8), (8, 8)))
    assert not seen[0].any()
    assert (seen[7] == 1).all()
    assert seen[2, 0, 0] == pytest.approx(127 / 255, abs=1 / 255)


@pytest.mark.parametrize("size", [(32, 32), (1000, 700), (33, 190)])
def test_cutting_keeps_flat_colours_and_the_range(size):
    image = np.full((100, 100, 4), 255, np.uint8)
    image[..., :3] = (10, 128, 250)
    seen = cut(image, None, Region((0, 0, 100, 100), size))
    assert seen.shape == (size[1], size[0], 3)
    np.testing.assert_allclose(seen, np.broadcast_to(np.array([10, 128, 250]) / 255, seen.shape), atol=1e-6)
    image[::2, ::2, :3] = 255
    image[1::2, 1::2, :3] = 0
    seen = cut(image, None, Region((0, 0, 100, 100), size))
    assert seen.min() >= 0
    assert seen.max() <= 1


def test_the_cut_mask_is_the_share_of_each_cell():
    mask = empty(64, 64)
    mask[:, :8] = 255
    mask[:, 12] = 255
    cells = cut_mask(mask, Region((0, 0, 64, 64), (8, 8)))
    assert (cells[:, 0] == 1).all()
    np.testing.assert_allclose(cells[:, 1], 1 / 8, atol=1e-6)
    assert not cells[:, 2:].any()
    assert (cut_mask(full(64, 64), Region((0, 0, 64, 64), (96, 40))) == 1).all()


def test_a_mask_on_a_grid_line_keeps_its_region_once_it_has_one() -> None:
    """Without `near` some small move always crosses a line of the grid; with it none does."""
    size, boxes, kept = (3000, 2000), set(), set()
    near = None
    for x in range(1690, 1724, 6):
        mask = np.zeros((2000, 3000), np.uint8)
        mask[600:880, x : x + 420] = 255
        boxes.add(choose_region(size, mask, native=128, multiple=16).box)
        near = choose_region(size, mask, native=128, multiple=16, near=near).box
        kept.add(near)
    assert len(boxes) > 1
    assert len(kept) == 1


def test_a_region_the_mask_has_left_is_given_up() -> None:
    size = (3000, 2000)
    mask = np.zeros((2000, 3000), np.uint8)
    mask[600:880, 300:720] = 255
    first = choose_region(size, mask, native=128, multiple=16)
    far = np.roll(mask, 1500, axis=1)
    assert choose_region(size, far, native=128, multiple=16, near=first.box) == choose_region(
        size, far, native=128, multiple=16
    )
