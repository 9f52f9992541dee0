"""Latent masks, and the area near words."""

from __future__ import annotations

import torch
from torch.nn.functional import interpolate, max_pool2d

from sfumato.diffusion.attention import MapStore, Site
from sfumato.diffusion.blending import Keep, LocalBlend, grown, latent_mask, runs
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


def test_the_published_area_is_pooled_and_scaled_by_its_maximum() -> None:
    site = Site("m.attn2", "cross", 0, 1)
    maps = MapStore((site,), (1, 4, 8, 8))
    given = torch.rand(2, 1, 64, 3, generator=torch.Generator().manual_seed(0)) + 1
    rows = ("src.c", "tgt.c")
    maps.hook(range(1), rows).act(dict(zip(rows, given, strict=True)), site, 0)
    blend = LocalBlend(maps, (1,), (2,), 0.96, 0, about_kept=True, as_published=True)
    looked = torch.stack([given[0, 0, :, 1], given[1, 0, :, 2]]).view(2, 1, 8, 8)
    pooled = interpolate(max_pool2d(looked, 3, stride=1, padding=1), size=(16, 16), mode="nearest")
    areas = pooled / pooled.amax((2, 3), keepdim=True) > 0.96
    found = blend.mask((1, 4, 16, 16))
    assert torch.equal(found, areas.any(0, keepdim=True))
    assert 0 < found.float().mean() < 1


def test_things_apart_in_the_prompt_have_an_area_each() -> None:
    """One is looked at hard and small, the other evenly: together the first would hide the second."""
    site = Site("m.attn2", "cross", 0, 1)
    maps = MapStore((site,), (1, 4, 4, 4))
    given = torch.zeros(1, 16, 6)
    given[0, 0, 1] = 1.0
    given[0, 8:, 4] = 0.1
    maps.hook(range(1), ("src.c", "tgt.c")).act({"src.c": given, "tgt.c": given}, site, 0)

    def changed(*tokens: int, as_published: bool = False) -> int:
        blend = LocalBlend(maps, tokens, tokens, 0.3, 0, about_kept=True, as_published=as_published)
        return int(blend.mask((1, 4, 4, 4)).sum())

    assert changed(1) == 1
    assert changed(4) == 8
    assert changed(1, 4) == 9
    assert changed(1, 4, as_published=True) == changed(1, as_published=True) == 4
    assert changed(1, 2) == 1


def test_positions_are_cut_where_one_is_left_out() -> None:
    assert runs((7, 3, 2, 9, 8, 2)) == [[2, 3], [7, 8, 9]]
    assert runs(()) == []
