"""Noise that looks like noise (methods.md §8 e), against the losses diffusers keeps."""

from __future__ import annotations

import pytest
import torch

from sfumato.diffusion.regularise import Regulariser, autocorrelation, divergence, random_shift


def noise(seed: int = 0, side: int = 32) -> torch.Tensor:
    return torch.randn(1, 4, side, side, generator=torch.Generator().manual_seed(seed))


def smooth(seed: int = 0) -> torch.Tensor:
    """Neighbours alike, and not of variance 1."""
    return 2 * torch.nn.functional.avg_pool2d(noise(seed), 3, stride=1, padding=1) + 0.3


@pytest.mark.filterwarnings("ignore")
def test_both_losses_are_those_of_the_published_code() -> None:
    from diffusers.pipelines.deprecated.stable_diffusion_diffedit import (
        pipeline_stable_diffusion_diffedit as published,
    )

    eps = smooth()
    theirs = published.auto_corr_loss(eps, generator=torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    ours = autocorrelation(eps, lambda side: int(torch.randint(side // 2, (1,), generator=generator)))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    torch.testing.assert_close(divergence(eps), published.kl_divergence(eps), rtol=1e-6, atol=1e-7)


def test_the_divergence_is_zero_only_at_mean_zero_and_variance_one() -> None:
    eps = noise()
    standard = (eps - eps.mean()) / eps.std()
    assert abs(float(divergence(standard))) < 1e-6
    for other in (standard + 0.2, standard * 1.2, standard * 0.8):
        assert float(divergence(other)) > 0.01


def test_by_patches_every_place_counts() -> None:
    eps = noise()
    uneven = torch.cat([eps[..., :16] * 2**0.5 * 0.99, eps[..., 16:] * 0.2], dim=-1)
    uneven = (uneven - uneven.mean()) / uneven.std()
    assert float(divergence(uneven)) < 1e-5
    assert float(divergence(uneven, patch=4)) > float(divergence(eps, patch=4)) + 0.1


def test_no_weight_no_change() -> None:
    eps = smooth()
    assert torch.equal(Regulariser(ac=0, kl=0)(eps), eps)


def test_it_leads_towards_noise_and_is_repeatable() -> None:
    eps = smooth()
    better = Regulariser()(eps)
    assert torch.equal(better, Regulariser()(eps))
    assert not better.requires_grad
    assert float(divergence(better)) < float(divergence(eps))
    assert float(autocorrelation(better, lambda _: 1)) < float(autocorrelation(eps, lambda _: 1))


def test_shifts_are_never_nothing() -> None:
    shift = random_shift(0)
    assert {shift(8) for _ in range(200)} == {1, 2, 3, 4}
