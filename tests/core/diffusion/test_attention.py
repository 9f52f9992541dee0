"""Attention sites, plans, and their guarantee to leave the network as they found it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel

from sfumato.diffusion.attention import (
    Hook,
    MapStore,
    Plan,
    find_sites,
    late_decoder,
    layout_places,
    map_sites,
    self_sites,
)
from sfumato.diffusion.denoiser import Seen, Stopped

ROWS = ("one", "two")


def call(model: Any, plan: Plan | None = None, *, step: int = 0) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        text = model.text("a cat on the grass").embeddings
        x = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(5))
        return model.denoiser({"one": Seen(x[:1], text), "two": Seen(x[1:], text)}, 500, plan=plan, step=step)


def test_sites_are_listed_in_the_order_they_run(tiny_model: Any) -> None:
    ran: list[str] = []
    names = {site.name for site in tiny_model.sites}
    handles = [
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
        for name, module in tiny_model.unet.named_modules()
        if name in names
    ]
    call(tiny_model)
    for handle in handles:
        handle.remove()
    assert ran == [site.name for site in find_sites(tiny_model.unet)]
    assert len(ran) == len(tiny_model.unet.attn_processors)


def test_the_resolution_of_every_site_is_known(tiny_model: Any) -> None:
    seen: dict[str, int] = {}

    def watch(probabilities: Any, site: Any, step: int) -> dict[str, torch.Tensor]:
        seen[site.name] = probabilities["one"].shape[-2]
        return {}

    call(tiny_model, Plan((Hook(frozenset(tiny_model.sites), range(1), ROWS, watch),)))
    assert seen == {site.name: site.tokens((16, 16)) for site in tiny_model.sites}


def test_roles_follow_the_model(tiny_model: Any) -> None:
    assert {site.scale for site in map_sites(tiny_model.sites, (1, 4, 16, 16))} == {1}
    assert {site.scale for site in map_sites(tiny_model.sites, (1, 4, 32, 32))} == {2}
    assert len(self_sites(tiny_model.sites, (1, 4, 64, 64), limit=1024)) < len(tiny_model.sites) // 2
    assert all(site.kind == "self" for site in self_sites(tiny_model.sites, (1, 4, 16, 16)))


def test_the_explicit_softmax_agrees_with_the_fused_kernel(tiny_model: Any) -> None:
    watch = Hook(frozenset(tiny_model.sites), range(1), ROWS, lambda *_: {})
    plain, explicit = call(tiny_model), call(tiny_model, Plan((watch,)))
    torch.testing.assert_close(plain["one"], explicit["one"], rtol=0, atol=1e-5)


def test_a_replaced_row_changes_and_the_other_does_not(tiny_model: Any) -> None:
    sites = frozenset(tiny_model.sites)
    watch = Plan((Hook(sites, range(1), ROWS, lambda *_: {}),))
    swap = Plan((Hook(sites, range(1), ROWS, lambda probs, *_: {"two": probs["one"]}),))
    before, after = call(tiny_model, watch), call(tiny_model, swap)
    assert torch.equal(before["one"], after["one"])
    assert not torch.equal(before["two"], after["two"])
    assert {name for name, _ in swap.acted} == {site.name for site in sites}


def test_a_closed_window_does_nothing(tiny_model: Any) -> None:
    plan = Plan((Hook(frozenset(tiny_model.sites), range(3, 5), ROWS, lambda *_: 1 / 0),))
    assert torch.equal(call(tiny_model, plan, step=2)["two"], call(tiny_model)["two"])
    assert plan.reads(2) == frozenset()
    assert plan.reads(3) == frozenset(ROWS)


def test_an_exception_inside_a_hook_restores_the_processors(tiny_model: Any) -> None:
    plan = Plan((Hook(frozenset(tiny_model.sites), range(1), ROWS, lambda *_: 1 / 0),))
    with pytest.raises(ZeroDivisionError):
        call(tiny_model, plan)  # the fixture asserts the rest


def test_a_stop_is_honoured_inside_the_network(tiny_model: Any) -> None:
    def stop(*_: Any) -> dict[str, torch.Tensor]:
        tiny_model.stop.set()
        return {}

    before = tiny_model.counters.forward
    with pytest.raises(Stopped):
        call(tiny_model, Plan((Hook(frozenset(tiny_model.sites[:1]), range(1), ROWS, stop),)))
    assert tiny_model.counters.forward == before


def test_maps_average_over_heads_sites_and_steps(tiny_model: Any) -> None:
    sites = map_sites(tiny_model.sites, (1, 4, 16, 16))
    maps = MapStore(sites, (1, 4, 16, 16))
    plan = Plan((maps.hook(range(2), ("one",)),))
    call(tiny_model, plan, step=0)
    first = maps.average("one").clone()
    call(tiny_model, plan, step=1)
    assert first.shape == (16, 16, 16)
    torch.testing.assert_close(first.sum(0), torch.ones(16, 16))
    torch.testing.assert_close(maps.average("one"), first)


def unet_of(**config: Any) -> Any:
    """An architecture on the meta device: its sites, without its weights."""
    with torch.device("meta"):
        return UNet2DConditionModel(
            sample_size=64, cross_attention_dim=8, attention_head_dim=4, norm_num_groups=4, **config
        )


SD1 = {
    "block_out_channels": (8, 16, 16, 16),
    "down_block_types": (*("CrossAttnDownBlock2D",) * 3, "DownBlock2D"),
    "up_block_types": ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
}
SDXL = {
    "block_out_channels": (8, 16, 16),
    "down_block_types": ("DownBlock2D", *("CrossAttnDownBlock2D",) * 2),
    "up_block_types": (*("CrossAttnUpBlock2D",) * 2, "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
}
TWO_BLOCKS = {
    "block_out_channels": (8, 16),
    "down_block_types": ("CrossAttnDownBlock2D",) * 2,
    "up_block_types": ("CrossAttnUpBlock2D",) * 2,
    "layers_per_block": 1,
}


@pytest.mark.parametrize(
    ("config", "late", "module", "layout"),
    [
        (SD1, range(10, 16), "up_blocks.1.resnets.1.conv2", range(8, 16)),
        (SDXL, range(64, 70), "up_blocks.0.resnets.1.conv2", range(44, 70)),
        (TWO_BLOCKS, range(5, 7), "up_blocks.0.resnets.1.conv2", range(4, 7)),
    ],
    ids=["SD 1", "SDXL", "two blocks"],
)
def test_roles_of_the_decoder(config: dict[str, Any], late: range, module: str, layout: range) -> None:
    """Layer 10 and the features of Stable Diffusion 1; what plays their part elsewhere."""
    unet = unet_of(**config)
    sites = find_sites(unet)
    assert [site.index for site in late_decoder(sites)] == list(late)
    path, selves = layout_places(sites)
    assert path == module
    assert isinstance(unet.get_submodule(module), torch.nn.Conv2d)
    assert [site.index for site in selves] == list(layout)
    assert all(site.kind == "self" for site in (*selves, *late_decoder(sites)))


def test_a_model_without_attention_has_no_roles() -> None:
    assert late_decoder(()) == ()
    assert layout_places(()) == (None, ())
