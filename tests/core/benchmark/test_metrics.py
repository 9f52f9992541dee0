"""PIE-Bench's test vectors, and agreement with the libraries it was computed with."""

from __future__ import annotations

from math import inf, isnan

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import (
    peak_signal_noise_ratio as torch_psnr,
)
from torchmetrics.functional.image import structural_similarity_index_measure as torch_ssim

from sfumato.benchmark import metrics as m

SIDES = st.integers(11, 30)


def pictures(seed: int, height: int = 24, width: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two pictures that are somewhat alike, and an area."""
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 256, (height, width, 3), np.uint8)
    b = np.clip(a + rng.normal(0, 30, a.shape), 0, 255).astype(np.uint8)
    return a, b, rng.random((height, width)) < 0.4


def tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.astype(np.float64) / 255).permute(2, 0, 1)[None]


def test_equal_pictures_are_perfect() -> None:
    a, _, area = pictures(0)
    assert m.mse_unedit_part(a, a, area) == 0
    assert m.psnr_unedit_part(a, a, area) == inf
    assert m.ssim_unedit_part(a, a, area) == pytest.approx(1, abs=1e-12)


@given(st.integers(0, 99))
def test_a_change_inside_the_mask_is_not_seen(seed: int) -> None:
    a, b, area = pictures(seed)
    inside = np.where(area[..., None], b, a)
    assert m.mse_unedit_part(a, inside, area) == 0
    assert m.psnr_unedit_part(a, inside, area) == inf
    assert m.ssim_unedit_part(a, inside, area) == pytest.approx(1, abs=1e-12)


def test_without_anything_to_keep_there_is_no_figure() -> None:
    a, b, _ = pictures(0)
    everything, nothing = np.ones(a.shape[:2], np.bool_), np.zeros(a.shape[:2], np.bool_)
    for metric in (m.mse_unedit_part, m.psnr_unedit_part, m.ssim_unedit_part):
        assert isnan(metric(a, b, everything))
        assert not isnan(metric(a, b, nothing))
    assert isnan(m.psnr_where(a, b, nothing))
    assert isnan(m.gain(a, b, a, nothing))


def test_the_larger_the_mask_the_higher_the_psnr_as_published() -> None:
    a, _, _ = pictures(0)
    b = np.clip(a.astype(int) + 10, 0, 255).astype(np.uint8)
    area = np.zeros(a.shape[:2], np.bool_)
    none = m.mse_unedit_part(a, b, area)
    area[:12] = True  # half of the pixels now count as no error, and are still divided by
    assert m.mse_unedit_part(a, b, area) == pytest.approx(m.mse(a[12:], b[12:]) / 2)
    assert m.mse_unedit_part(a, b, area) < none


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 999), SIDES, SIDES)
def test_psnr_and_mse_agree_with_the_libraries(seed: int, height: int, width: int) -> None:
    a, b, area = pictures(seed, height, width)
    x, y = m.only(a, ~area), m.only(b, ~area)
    ours = m.psnr_unedit_part(a, b, area)
    assert ours == pytest.approx(peak_signal_noise_ratio(x, y, data_range=255), abs=1e-9)
    assert ours == pytest.approx(float(torch_psnr(tensor(x), tensor(y), data_range=1.0)), abs=1e-5)
    assert m.mse_unedit_part(a, b, area) == pytest.approx(float(((tensor(x) - tensor(y)) ** 2).mean()))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 999), SIDES, SIDES)
def test_ssim_agrees_with_the_libraries(seed: int, height: int, width: int) -> None:
    a, b, area = pictures(seed, height, width)
    x, y = m.only(a, ~area), m.only(b, ~area)
    ours = m.ssim_unedit_part(a, b, area)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": -1}
    theirs = structural_similarity(x / 255, y / 255, data_range=1.0, **options)
    assert ours == pytest.approx(theirs, abs=1e-9)
    _, whole = torch_ssim(tensor(x), tensor(y), data_range=1.0, return_full_image=True)
    assert isinstance(whole, torch.Tensor)
    assert ours == pytest.approx(float(whole[..., 5:-5, 5:-5].mean()), abs=1e-6)


def test_a_picture_smaller_than_the_window_has_no_ssim() -> None:
    a, b, _ = pictures(0, 10, 30)
    assert isnan(m.ssim(a, b))


def test_gain_is_nothing_for_the_source_and_all_for_the_truth() -> None:
    source, truth, area = pictures(3)
    assert m.gain(source, source, truth, area) == 0
    assert m.gain(truth, source, truth, area) == 1
    away = np.clip(2 * source.astype(int) - truth, 0, 255).astype(np.uint8)
    assert m.gain(away, source, truth, area) < 0
    half = ((source.astype(int) + truth) // 2).astype(np.uint8)
    assert m.gain(half, source, truth, area) == pytest.approx(0.5, abs=0.1)
    assert isnan(m.gain(truth, source, source, area))


def test_only_the_pixels_of_an_area_count() -> None:
    a, b, area = pictures(1)
    mixed = np.where(area[..., None], b, a)
    assert m.psnr_where(a, mixed, ~area) == inf
    assert m.psnr_where(a, mixed, area) == m.psnr(a[area], b[area]) < inf
