import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import ImageCms

from sfumato.document.colour import Profile, is_usable

RAMP = np.stack(np.meshgrid(*[np.arange(0, 256, 15, np.uint8)] * 3), axis=-1).reshape(18, -1, 3)


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("profile", [None, b"", b"no profile at all", srgb_profile()[:200], srgb_profile()])
def test_srgb_by_any_name_is_converted_by_nothing_but_division(profile):
    assert_array_equal(Profile(profile).to_srgb(RAMP), RAMP.astype(np.float32) / 255)
    back = Profile(profile).from_srgb(RAMP.astype(np.float32) / 255)
    assert_array_equal(np.rint(back * 255), RAMP)


@pytest.mark.parametrize("name", ["display_p3", "adobe_rgb"])
def test_wide_gamuts_are_converted_as_littlecms_does(name, request):
    data = request.getfixturevalue(name)
    profile = Profile(data)
    assert is_usable(data)
    assert not profile.is_srgb
    seen = profile.to_srgb(RAMP)
    assert seen.dtype == np.float32
    assert 0 <= seen.min() <= seen.max() <= 1
    grey = np.full((1, 1, 3), 128, np.uint8)
    assert np.ptp(profile.to_srgb(grey)) <= 1 / 255, "grey stays grey"
    saturated = np.array([[[200, 120, 110]]], np.uint8)
    assert np.abs(profile.to_srgb(saturated) * 255 - saturated).max() > 5, "the colours do differ"


@pytest.mark.parametrize("name", ["display_p3", "adobe_rgb"])
def test_colours_within_srgb_come_back(name, request):
    profile = Profile(request.getfixturevalue(name))
    inside = RAMP.astype(np.float32) / 255
    own = np.rint(profile.from_srgb(inside) * 255).astype(np.uint8)
    bright = RAMP.min(axis=-1) > 30  # in the shadows one level of either space is many of the other
    assert np.abs(profile.to_srgb(own) - inside)[bright].max() <= 3 / 255


def test_a_profile_of_another_kind_of_picture_is_not_usable():
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert not is_usable(lab)
    assert not is_usable(srgb_profile(), "CMYK")
    assert is_usable(srgb_profile())
