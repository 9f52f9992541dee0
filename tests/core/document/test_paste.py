import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from sfumato.document.compositor import count_changed, flatten
from sfumato.document.layers import Document, Layer
from sfumato.document.masks import empty, full
from sfumato.document.region import Region, choose_region, cut, paste


def photograph(width, height, seed=0, alpha=255):
    """Broad forms with fine noise on top, which no model of a quarter the size can see."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    forms = np.stack([np.sin(x / 37 + 1), np.cos(y / 29), np.sin((x + y) / 51)], axis=-1)
    colours = 128 + 70 * forms + rng.normal(0, 12, (height, width, 3))
    opacity = np.full((height, width, 1), alpha)
    return np.concatenate([np.clip(colours, 0, 255), opacity], axis=-1).astype(np.uint8)


def laid_over(image, region, patch):
    height, width = image.shape[:2]
    layers = [Layer("picture", image), Layer("edit", patch, region.box[0], region.box[1])]
    return flatten(Document(width, height, layers))


SHAPES = [(1, 1), (16, 400), (100, 80), (128, 128), (300, 200), (61, 333)]


@pytest.mark.parametrize("profile_name", [None, "display_p3", "adobe_rgb"])
@pytest.mark.parametrize("shape", SHAPES)
def test_where_the_edit_changed_nothing_the_original_comes_back(shape, profile_name, request):
    profile = request.getfixturevalue(profile_name) if profile_name else None
    image = photograph(*shape)
    region = choose_region(shape, None, native=128, multiple=8)
    seen = cut(image, profile, region)
    # what a real autoencoder gives is near the picture, not the picture
    reconstruction = np.clip(seen + np.random.default_rng(2).normal(0, 0.02, seen.shape), 0, 1).astype(
        np.float32
    )
    patch = paste(image, profile, region, edited=reconstruction.copy(), reconstruction=reconstruction)
    assert_array_equal(patch, image)
    assert_array_equal(paste(image, profile, region, edited=seen), image)


def test_a_local_change_leaves_the_rest_exact():
    image = photograph(400, 300)
    region = Region((0, 0, 400, 300), (144, 112))
    seen = cut(image, None, region)
    edited = seen.copy()
    edited[40:60, 50:80] = (0.9, 0.1, 0.1)
    patch = paste(image, None, region, edited=edited, reconstruction=seen)
    changed = np.any(patch != image, axis=-1)
    scale = 400 / 144
    inside = np.zeros_like(changed)
    reach = 3  # of the model's pixels: bicubic, and one to be safe
    inside[
        int((40 - reach) * scale) : int((60 + reach) * scale),
        int((50 - reach) * scale) : int((80 + reach) * scale),
    ] = 1
    assert changed.any()
    assert not changed[~inside].any()


def test_at_the_models_own_size_every_unchanged_pixel_is_exact():
    image = photograph(128, 128)
    region = Region((0, 0, 128, 128), (128, 128))
    reconstruction = np.clip(cut(image, None, region) + 0.03, 0, 1).astype(np.float32)
    edited = reconstruction.copy()
    edited[30:50, 30:50] = 0.5
    patch = paste(image, None, region, edited=edited, reconstruction=reconstruction)
    same = np.all(edited == reconstruction, axis=-1)
    assert_array_equal(patch[same], image[same])


def test_what_was_replaced_does_not_ghost_through():
    image = photograph(512, 512)
    image[::2, ::2, :3] = 255  # fine detail the model cannot see
    region = Region((0, 0, 512, 512), (128, 128))
    seen = cut(image, None, region)
    edited = seen.copy()
    edited[32:96, 32:96] = (0.1, 0.6, 0.2)
    patch = paste(image, None, region, edited=edited, reconstruction=seen)
    assert np.abs(patch[160:352, 160:352, :3] / 255 - (0.1, 0.6, 0.2)).max() < 0.01


@pytest.mark.parametrize("size", [(128, 128), (64, 64)])
def test_detail_that_is_to_go_does_not_come_back(size):
    rng = np.random.default_rng(3)
    image = np.full((128, 128, 4), 255, np.uint8)
    image[..., :3] = np.clip(120 + rng.normal(0, 12, (128, 128, 3)), 0, 255)
    region = Region((0, 0, 128, 128), size)
    clean = np.full((*size, 3), 120 / 255, np.float32)
    asked = {"edited": clean, "reconstruction": clean + np.float32(1 / 255)}
    kept = paste(image, None, region, **asked)
    gone = paste(image, None, region, **asked, keep_detail=False)
    assert np.abs(kept[..., :3].astype(int) - 120).max() > 20
    assert_array_equal(gone[..., :3], 120)
    mask = full(128, 128)
    mask[:, :64] = 0
    assert not paste(image, None, region, **asked, keep_detail=False, mask=mask)[:, :64].any()


def test_a_slight_change_of_tone_keeps_the_fine_detail():
    image = photograph(512, 512)
    region = Region((0, 0, 512, 512), (128, 128))
    seen = cut(image, None, region)
    patch = paste(image, None, region, edited=seen + np.float32(4 / 255), reconstruction=seen)
    difference = patch[..., :3].astype(int) - image[..., :3]
    unclipped = image[..., :3].max(axis=-1) < 240
    assert set(np.unique(difference[unclipped])) == {4}


@pytest.mark.parametrize("profile_name", [None, "display_p3", "adobe_rgb"])
def test_the_edit_arrives_in_the_documents_own_colours(profile_name, request):
    profile = request.getfixturevalue(profile_name) if profile_name else None
    image = photograph(200, 200)
    region = Region((0, 0, 200, 200), (128, 128))
    edited = np.full((128, 128, 3), (0.8, 0.3, 0.4), np.float32)
    patch = paste(image, profile, region, edited=edited)
    seen_again = cut(patch, profile, region)
    assert np.abs(seen_again - edited)[8:-8, 8:-8].max() < 0.02


def test_colours_beyond_srgb_survive_a_change_of_tone(display_p3):
    image = np.full((128, 128, 4), 255, np.uint8)
    image[..., :3] = (250, 40, 40)  # a red that sRGB does not have
    region = Region((0, 0, 128, 128), (128, 128))
    seen = cut(image, display_p3, region)
    assert seen[0, 0, 0] == 1, "the model sees it clipped"
    edited = seen.copy()
    edited[..., 1] += 0.02
    patch = paste(image, display_p3, region, edited=edited, reconstruction=seen)
    assert (patch[..., 0] >= 249).all()


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(200, 150), (31, 250), (64, 64)]),
    st.sampled_from([0.0, 3.0, 12.0]),
)
def test_nothing_changes_outside_the_mask(seed, shape, feather):
    rng = np.random.default_rng(seed)
    image = photograph(*shape, seed=seed)
    mask = empty(*shape)
    left, top = rng.integers(0, shape[0] - 8), rng.integers(0, shape[1] - 8)
    mask[top : top + 40, left : left + 20] = rng.integers(1, 256)
    mask[rng.integers(0, shape[1]), rng.integers(0, shape[0])] = 255
    region = choose_region(shape, mask, native=64, multiple=8)
    edited = rng.random((region.size[1], region.size[0], 3), np.float32)
    patch = paste(image, None, region, edited=edited, mask=mask, feather=feather)
    flat = laid_over(image, region, patch)
    assert count_changed(image, flat, mask) == 0
    assert_array_equal(flat[..., 3], image[..., 3])


def test_a_soft_mask_mixes_and_a_feather_only_takes_away():
    image = np.full((64, 64, 4), 255, np.uint8)
    region = Region((0, 0, 64, 64), (64, 64))
    mask = full(64, 64)
    mask[:, :32] = 128
    mask[:, :10] = 0
    black = np.zeros((64, 64, 3), np.float32)
    plain = paste(image, None, region, edited=black, mask=mask)
    assert_array_equal(plain[..., 3], mask)
    assert laid_over(image, region, plain)[0, 20, 0] == 127
    feathered = paste(image, None, region, edited=black, mask=mask, feather=8)
    assert (feathered[..., 3] <= mask).all()
    assert 0 < feathered[0, 12, 3] < 128


@pytest.mark.parametrize("mask", [None, full(120, 90)])
def test_the_pictures_alpha_is_kept(mask):
    image = photograph(120, 90)
    image[..., 3] = np.linspace(0, 510, 120).clip(0, 255).astype(np.uint8)
    region = choose_region((120, 90), mask, native=64, multiple=8)
    edited = np.full((region.size[1], region.size[0], 3), 0.5, np.float32)
    patch = paste(image, None, region, edited=edited, mask=mask)
    assert_array_equal(laid_over(image, region, patch)[..., 3], image[..., 3])
    assert not patch[image[region.box[1] : region.box[3], region.box[0] : region.box[2], 3] == 0].any()
    assert (patch[..., 3] == 255).any()


def test_a_twelve_megapixel_photograph():
    image = photograph(600, 400)
    image = np.tile(image, (7, 7, 1))
    mask = empty(4200, 2800)
    mask[1000:1400, 2000:2500] = 255
    region = choose_region((4200, 2800), mask, native=128, multiple=8)
    edited = np.zeros((region.size[1], region.size[0], 3), np.float32)
    patch = paste(image, None, region, edited=edited, mask=mask, feather=4)
    assert count_changed(image, laid_over(image, region, patch), mask) == 0
    assert (patch[..., 3] == 255).sum() > 150_000
