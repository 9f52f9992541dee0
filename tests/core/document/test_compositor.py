import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.testing import assert_array_equal

from sfumato.document.compositor import (
    count_changed,
    count_different,
    fingerprint,
    flatten,
    hash_below,
    is_stale,
)
from sfumato.document.geometry import window
from sfumato.document.layers import Document, EditInfo, Layer
from sfumato.method import Recipe

SIDE = 6

# alpha in the corners of its range is where compositors go wrong
alphas = st.sampled_from([0, 0, 1, 127, 128, 254, 255, 255])


@st.composite
def layers(draw, *, whole: bool = False):
    height, width = (SIDE, SIDE) if whole else (draw(st.integers(1, SIDE)), draw(st.integers(1, SIDE)))
    pixels = draw(arrays.arrays(np.uint8, (height, width, 4)))
    pixels[..., 3] = draw(arrays.arrays(np.uint8, (height, width), elements=alphas))
    left, top = (0, 0) if whole else (draw(st.integers(-4, SIDE)), draw(st.integers(-4, SIDE)))
    opacity = draw(st.sampled_from([0.0, 0.3, 0.5, 1.0]))
    return Layer("layer", pixels, left, top, draw(st.booleans()), opacity)


documents = st.lists(layers(), max_size=4).map(lambda stack: Document(SIDE, SIDE, stack))


def reference(document):
    """Porter and Duff's over, in float64."""
    colour = np.zeros((SIDE, SIDE, 3))
    alpha = np.zeros((SIDE, SIDE, 1))
    for layer in document.layers:
        if not layer.visible:
            continue
        source = np.zeros((3 * SIDE, 3 * SIDE, 4))
        height, width = layer.pixels.shape[:2]
        top, left = layer.top + SIDE, layer.left + SIDE
        source[top : top + height, left : left + width] = layer.pixels / 255
        source = source[SIDE : 2 * SIDE, SIDE : 2 * SIDE]
        own = np.rint(source[..., 3:] * 255 * layer.opacity) / 255
        mixed = own + alpha * (1 - own)
        weighted = source[..., :3] * own + colour * alpha * (1 - own)
        colour = np.divide(weighted, mixed, out=np.zeros_like(weighted), where=mixed > 0)
        alpha = mixed
    return colour * 255, alpha[..., 0] * 255


@settings(max_examples=200)
@given(documents)
def test_flattening_is_porter_duff_over(document):
    flat = flatten(document).astype(float)
    colour, alpha = reference(document)
    # each layer rounds to whole levels once
    assert np.abs(flat[..., 3] - alpha).max() <= len(document.layers)
    solid = alpha > 64  # under a thin alpha a rounded colour means little, and shows little
    assert np.abs(flat[..., :3] - colour)[solid].max(initial=0) <= 2 * len(document.layers)


@settings(max_examples=200)
@given(documents, layers(whole=True))
def test_a_transparent_pixel_leaves_what_is_below_bit_exact(document, top):
    document.layers.insert(0, Layer("picture", np.full((SIDE, SIDE, 4), 77, np.uint8)))
    before = flatten(document)
    document.layers.append(top)
    clear = top.pixels[..., 3] == 0
    assert_array_equal(flatten(document)[clear], before[clear])


@given(documents, layers())
def test_hidden_and_faded_layers_and_the_outside_change_nothing(document, top):
    document.layers.insert(0, Layer("picture", np.full((SIDE, SIDE, 4), 77, np.uint8)))
    before = flatten(document)
    top.visible, top.opacity = True, 1.0
    document.layers.append(top)
    outside = np.ones((SIDE, SIDE), bool)
    outside[max(top.top, 0) : max(top.box[3], 0), max(top.left, 0) : max(top.box[2], 0)] = False
    assert_array_equal(flatten(document)[outside], before[outside])
    top.opacity = 0.0
    assert_array_equal(flatten(document), before)
    top.opacity, top.visible = 1.0, False
    assert_array_equal(flatten(document), before)


@settings(max_examples=200)
@given(documents, st.tuples(*[st.integers(0, SIDE - 1)] * 2), st.tuples(*[st.integers(1, SIDE)] * 2))
def test_a_part_flattens_like_the_whole(document, corner, size):
    rect = (*corner, min(corner[0] + size[0], SIDE), min(corner[1] + size[1], SIDE))
    assert_array_equal(flatten(document, rect), flatten(document)[window(rect)])


@given(layers(whole=True))
def test_one_layer_flattens_to_itself_hidden_colours_included(layer):
    layer.visible, layer.opacity = True, 1.0
    assert_array_equal(flatten(Document(SIDE, SIDE, [layer])), layer.pixels)


@given(arrays.arrays(np.uint8, (SIDE, SIDE, 3)), arrays.arrays(np.uint8, (SIDE, SIDE)))
def test_laying_the_same_colours_over_a_picture_changes_nothing(colours, alpha):
    below = np.dstack([colours, np.full((SIDE, SIDE), 255, np.uint8)])
    document = Document(SIDE, SIDE, [Layer("below", below), Layer("same", np.dstack([colours, alpha]))])
    assert_array_equal(flatten(document), below)


def test_a_rectangle_beyond_the_canvas_is_empty_there():
    document = Document(2, 2, [Layer("picture", np.full((4, 4, 4), 9, np.uint8), -1, -1)])
    flat = flatten(document, (-1, -1, 3, 3))
    assert flat.shape == (4, 4, 4)
    assert_array_equal(flat[1:3, 1:3], 9)
    assert np.count_nonzero(flat) == 16


def test_flattening_stops_below_a_layer_and_returns_a_picture_of_its_own():
    lower, upper = (Layer(name, np.full((2, 2, 4), value, np.uint8)) for name, value in (("a", 1), ("b", 2)))
    document = Document(2, 2, [lower, upper])
    below = flatten(document, below=upper.id)
    below[...] = 99
    assert_array_equal(flatten(document, below=upper.id), 1)
    assert_array_equal(flatten(document, below=lower.id), 0)
    with pytest.raises(KeyError):
        flatten(document, below="nobody")


def test_an_edit_is_stale_when_what_is_below_its_box_has_changed():
    picture = Layer("picture", np.full((8, 8, 4), 255, np.uint8))
    document = Document(8, 8, [picture])
    below = hash_below(document, (0, 0, 4, 4))
    edit = EditInfo(Recipe(), None, {}, (), 0, below)
    layer = Layer("edit", np.zeros((4, 4, 4), np.uint8), edit=edit)
    document.layers += [layer, Layer("above", np.full((8, 8, 4), 3, np.uint8))]
    assert not is_stale(document, layer)
    assert not is_stale(document, picture)
    picture.pixels[7, 7] = 0
    assert not is_stale(document, layer), "what lies outside its box does not concern it"
    picture.pixels[1, 1] = 0
    assert is_stale(document, layer)


def test_a_picture_from_words_is_never_stale():
    layer = Layer("words", np.zeros((4, 4, 4), np.uint8), edit=EditInfo(Recipe(), None, {}, (), 0, ""))
    assert not is_stale(Document(4, 4, [layer]), layer)


def test_counting_changes():
    before = np.zeros((3, 4, 4), np.uint8)
    after = before.copy()
    after[0, 0, 3] = 1
    after[2, 1] = 200
    mask = np.zeros((3, 4), np.uint8)
    mask[2, 1] = 1
    assert count_different(before, after) == 2
    assert count_changed(before, after, mask) == 1
    assert count_changed(before, after, np.zeros_like(mask)) == 2
    assert count_changed(before, after, None) == 0
    assert count_different(before[:, ::2], after[:, ::2]) == 1
    with pytest.raises(ValueError, match="different sizes"):
        count_different(before, after[:2])


def test_a_fingerprint_knows_shape_and_values():
    flat = np.arange(24, dtype=np.uint8)
    prints = {fingerprint(flat.reshape(shape)) for shape in ((1, 6, 4), (2, 3, 4), (3, 2, 4))}
    assert len(prints) == 3
    assert fingerprint(flat.reshape(2, 3, 4)[:, ::2]) == fingerprint(flat.reshape(2, 3, 4)[:, ::2].copy())


def test_a_layer_refuses_pixels_that_are_not_rgba8():
    for bad in (
        np.zeros((2, 2, 3), np.uint8),
        np.zeros((2, 2, 4), np.float32),
        np.zeros((0, 2, 4), np.uint8),
    ):
        with pytest.raises(ValueError, match="uint8"):
            Layer("bad", bad)
