"""Latent masks."""

from __future__ import annotations

import torch

from sfumato.diffusion.blending import Keep, grown, latent_mask
from sfumato.diffusion.schedule import Schedule
from tests.tiny import SCHEDULER


def test_a_mask_one_pixel_wide_does_not_vanish() -> None:
    mask = torch.zeros(1, 1, 128, 128)
    mask[..., 37] = 0.1
    latent = latent_mask(mask, (1, 4, 16, 16))
    assert latent.sum() == 16
    assert set(latent.unique().tolist()) == {0.0, 1.0}


def test_growing_adds_cells_on_every_side() -> None:
    mask = torch.zeros(1, 1, 9, 9)
    mask[..., 4, 4] = 1
    assert grown(mask, 0) is mask
    assert grown(mask, 2).sum() == 25


def test_a_widened_mask_ends_at_its_own_size() -> None:
    schedule = Schedule.from_config(SCHEDULER)
    grid = schedule.grid(10)
    mask = torch.zeros(1, 1, 9, 9)
    mask[..., 4, 4] = 1
    x0, x = torch.zeros(1, 4, 9, 9), torch.ones(1, 4, 9, 9)
    keep = Keep(mask, x0, schedule, grid, lambda k: lambda: torch.zeros(1, 4, 9, 9), widen=2)
    painted = [int(keep(x, i, "tgt")[0, 0].sum()) for i in range(1, 11)]
    assert painted[0] > painted[-1] == 1
    assert painted == sorted(painted, reverse=True)
