"""Hooks on queries, keys, values and features: what they give is what the network goes on with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from sfumato.diffusion.attention import FeatureHook, Hook, Plan, Qkv, StreamHook
from sfumato.diffusion.denoiser import Seen

FEATURES = "up_blocks.1.resnets.0"


def run(model: Any, *hooks: Any, step: int = 0) -> tuple[dict[str, Tensor], Plan]:
    """The noise of rows "one" and "two" under these hooks, and the plan that held them."""
    plan = Plan(hooks)
    with torch.no_grad():
        text = model.text("a cat on the grass").embeddings
        x = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(5))
        rows = {"one": Seen(x[:1], text), "two": Seen(x[1:], text)}
        return model.denoiser(rows, 500, plan=plan, step=step), plan


def on_self(model: Any, act: Any, steps: range = range(1)) -> StreamHook:
    sites = frozenset(site for site in model.sites if site.kind == "self")
    return StreamHook(sites, steps, ("one", "two"), act)


def close(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return all(torch.allclose(first[name], second[name], atol=1e-4) for name in first)


def test_a_hook_on_streams_that_gives_nothing_changes_nothing(tiny_model: Any) -> None:
    plain, _ = run(tiny_model)
    watched, plan = run(tiny_model, on_self(tiny_model, lambda *_: {}))
    assert close(plain, watched)
    assert plan.acted == {(site.name, 0) for site in tiny_model.sites if site.kind == "self"}


def test_outside_its_steps_it_is_not_even_there(tiny_model: Any) -> None:
    plain, _ = run(tiny_model, step=1)
    other, plan = run(tiny_model, on_self(tiny_model, lambda *_: pytest.fail("asked")), step=1)
    assert all(torch.equal(plain[name], other[name]) for name in plain)
    assert plan.acted == set()


def test_a_row_that_takes_anothers_streams_attends_as_it_does(tiny_model: Any) -> None:
    site = next(site for site in tiny_model.sites if site.kind == "self")
    outputs: list[Tensor] = []
    module = tiny_model.unet.get_submodule(site.name)
    handle = module.register_forward_hook(lambda _, inputs, output: outputs.append(output))
    run(
        tiny_model,
        StreamHook(frozenset({site}), range(1), ("one",), lambda streams, *_: {"two": streams["one"]}),
    )
    handle.remove()
    assert torch.equal(outputs[0][0], outputs[0][1])


def doubled(streams: Mapping[str, Qkv], *_: Any) -> dict[str, Qkv]:
    """Every key twice: the same average, over twice as many."""
    q, k, v, _ = streams["two"]
    return {"two": Qkv(q, torch.cat([k, k], dim=1), torch.cat([v, v], dim=1))}


def test_rows_may_have_unequal_numbers_of_keys(tiny_model: Any) -> None:
    plain, _ = run(tiny_model)
    assert close(run(tiny_model, on_self(tiny_model, doubled))[0], plain)


def test_a_bias_forbids_keys(tiny_model: Any) -> None:
    """The union of both rows' keys with the other row's forbidden is the row by itself."""

    def union(streams: Mapping[str, Qkv], *_: Any) -> dict[str, Qkv]:
        q, k, v, _ = streams["two"]
        other = streams["one"]
        bias = torch.zeros(q.shape[-2], 2 * k.shape[-2])
        bias[:, k.shape[-2] :] = -torch.inf
        return {"two": Qkv(q, torch.cat([k, other.key], 1), torch.cat([v, other.value], 1), bias)}

    def open_union(streams: Mapping[str, Qkv], *_: Any) -> dict[str, Qkv]:
        return {"two": union(streams)["two"]._replace(bias=None)}

    plain, _ = run(tiny_model)
    assert close(run(tiny_model, on_self(tiny_model, union))[0], plain)
    mixed, _ = run(tiny_model, on_self(tiny_model, open_union))
    assert not torch.allclose(mixed["two"], plain["two"], atol=1e-3)
    assert torch.allclose(mixed["one"], plain["one"], atol=1e-4)


def test_probabilities_include_a_bias_and_see_the_changed_keys(tiny_model: Any) -> None:
    site = next(site for site in tiny_model.sites if site.kind == "self")
    maps: list[Tensor] = []

    def first_only(streams: Mapping[str, Qkv], *_: Any) -> dict[str, Qkv]:
        changed = {}
        for name, (q, k, v, _) in streams.items():
            bias = torch.full((q.shape[-2], k.shape[-2]), -torch.inf)
            bias[:, 0] = 0
            changed[name] = Qkv(q, k, v, bias)
        return changed

    def watch(p: Mapping[str, Tensor], *_: Any) -> dict[str, Tensor]:
        maps.append(p["two"].clone())
        return {}

    sites = frozenset({site})
    fused, _ = run(tiny_model, StreamHook(sites, range(1), ("one", "two"), first_only))
    explicit, _ = run(
        tiny_model,
        StreamHook(sites, range(1), ("one", "two"), first_only),
        Hook(sites, range(1), ("two",), watch),
    )
    assert close(fused, explicit)
    assert torch.equal(maps[0][..., 0], torch.ones_like(maps[0][..., 0]))
    assert not maps[0][..., 1:].any()


def test_a_hook_on_features_gives_a_row_anothers(tiny_model: Any) -> None:
    seen: list[Tensor] = []

    def watch(features: Mapping[str, Tensor], step: int) -> dict[str, Tensor]:
        seen.append(torch.stack([features["one"], features["two"]]))
        return {}

    def take(features: Mapping[str, Tensor], step: int) -> dict[str, Tensor]:
        return {"two": features["one"]}

    rows = ("one", "two")
    plain, _ = run(tiny_model)
    hooks = [FeatureHook(FEATURES, range(1), rows, act) for act in (watch, take, watch)]
    injected, plan = run(tiny_model, *hooks)
    assert not torch.equal(seen[0][0], seen[0][1])
    assert torch.equal(seen[1][0], seen[0][0])
    assert torch.equal(seen[1][1], seen[0][0])
    assert torch.equal(injected["one"], plain["one"])
    assert not torch.equal(injected["two"], plain["two"])
    assert plan.acted == {(FEATURES, 0)}


def test_a_hook_waits_until_all_rows_it_reads_are_there(tiny_model: Any) -> None:
    plain, _ = run(tiny_model)
    missing = FeatureHook(FEATURES, range(1), ("one", "gone"), lambda *_: pytest.fail("asked"))
    streams = StreamHook(frozenset(tiny_model.sites), range(1), ("gone",), lambda *_: pytest.fail("asked"))
    other, plan = run(tiny_model, missing, streams)
    assert close(plain, other)
    assert plan.acted == set()
