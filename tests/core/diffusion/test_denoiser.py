"""What a row can show the network beside its latent: channels, value text, controls; and who may watch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from sfumato.diffusion.attention import Hook, Plan
from sfumato.diffusion.denoiser import Row, Seen, alone, guided

LEVEL = 500


def latents(count: int) -> list[Tensor]:
    return list(torch.randn(count, 4, 16, 16, generator=torch.Generator().manual_seed(5)).split(1))


def noise(model: Any, rows: Mapping[str, Seen], **options: Any) -> dict[str, Tensor]:
    with torch.no_grad():
        return model.denoiser(rows, LEVEL, **options)


class Adds:
    """A control that adds the same everywhere, and remembers what it was shown."""

    def __init__(self, amount: float) -> None:
        self.amount, self.shown = amount, []

    def __call__(
        self, x: Tensor, level: float, context: Tensor, step: int, added: Any
    ) -> tuple[Sequence[Tensor], Tensor] | None:
        self.shown.append((x.clone(), context.clone(), level, step))
        if self.amount == 0:
            return None
        sizes = [(16, 16), (16, 16), (16, 8), (32, 8)]
        down = [torch.full((len(x), channels, side, side), self.amount) for channels, side in sizes]
        return down, torch.full((len(x), 32, 8, 8), self.amount)


def test_a_rows_text_may_differ_from_step_to_step(tiny_model: Any) -> None:
    texts = [tiny_model.text("a cat"), tiny_model.text("a dog")]
    (x,) = latents(1)
    valued = [None, texts[0].embeddings]
    row = Row("a", texts, value_text=valued)
    assert torch.equal(row.seen(x, 1).text, texts[1].embeddings)
    assert row.seen(x, 0).value_text is None
    assert row.seen(x, 1).value_text is valued[1]


def test_value_text_equal_to_the_text_changes_nothing_and_another_does(tiny_model: Any) -> None:
    cat, dog = tiny_model.text("a cat").embeddings, tiny_model.text("a big dog").embeddings
    (x,) = latents(1)
    as_text = noise(tiny_model, {"a": Seen(x, cat, value_text=cat)})["a"]
    assert torch.allclose(as_text, noise(tiny_model, {"a": Seen(x, cat)})["a"], atol=1e-5)
    assert not torch.allclose(noise(tiny_model, {"a": Seen(x, cat, value_text=dog)})["a"], as_text, atol=1e-4)


def test_the_keys_keep_the_text_when_the_values_have_their_own(tiny_model: Any) -> None:
    cat, dog = tiny_model.text("a cat").embeddings, tiny_model.text("a big dog").embeddings
    site = next(site for site in tiny_model.sites if site.kind == "cross")
    maps: list[Tensor] = []
    hook = Hook(frozenset({site}), range(1), ("a",), lambda p, *_: maps.append(p["a"].clone()) or {})
    (x,) = latents(1)
    for value_text in (None, dog):
        noise(tiny_model, {"a": Seen(x, cat, value_text=value_text)}, plan=Plan((hook,)))
    assert torch.equal(*maps)


def test_value_text_of_one_row_leaves_its_neighbours_alone(tiny_model: Any) -> None:
    cat, dog = tiny_model.text("a cat").embeddings, tiny_model.text("a big dog").embeddings
    x, y = latents(2)
    first = noise(tiny_model, {"a": Seen(x, cat, value_text=dog), "b": Seen(y, cat)})
    second = noise(tiny_model, {"a": Seen(x, cat, value_text=cat), "b": Seen(y, cat)})
    assert torch.equal(first["b"], second["b"])
    assert not torch.equal(first["a"], second["a"])


def test_further_channels_go_behind_the_latents(tiny_instruct_model: Any) -> None:
    model, seen = tiny_instruct_model, []
    handle = model.unet.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    x, y = latents(2)
    text = model.text("a cat").embeddings
    out = noise(model, {"a": Seen(x, text, concat=y), "b": Seen(y, text, concat=torch.zeros_like(y))})
    handle.remove()
    assert torch.equal(seen[0], torch.cat([torch.cat([x, y], 1), torch.cat([y, torch.zeros_like(y)], 1)]))
    assert out["a"].shape == x.shape


def test_residuals_reach_the_rows_they_belong_to_and_no_others(tiny_model: Any) -> None:
    x, y, z = latents(3)
    cat, dog = tiny_model.text("a cat").embeddings, tiny_model.text("a dog").embeddings
    control = Adds(0.3)
    plain = noise(tiny_model, {"a": Seen(x, cat), "b": Seen(y, dog), "c": Seen(z, cat)})
    before = replace(tiny_model.counters)
    rows = {
        "a": Seen(x, cat, controls=(control,)),
        "b": Seen(y, dog),
        "c": Seen(z, cat, controls=(control,)),
    }
    steered = noise(tiny_model, rows, step=2)
    assert torch.equal(steered["b"], plain["b"])
    for name in ("a", "c"):
        assert not torch.allclose(steered[name], plain[name], atol=1e-3)
    ((shown, context, level, step),) = control.shown
    assert torch.equal(shown, torch.cat([x, z]))
    assert torch.equal(context, torch.cat([cat, cat]))
    assert (level, step) == (LEVEL, 2)
    assert tiny_model.counters.control - before.control == 2
    assert tiny_model.counters.forward - before.forward == 3


def test_controls_of_a_row_are_summed_and_one_that_adds_nothing_costs_nothing(tiny_model: Any) -> None:
    (x,) = latents(1)
    text = tiny_model.text("a cat").embeddings

    def under(*amounts: float) -> Tensor:
        return noise(tiny_model, {"a": Seen(x, text, controls=tuple(Adds(each) for each in amounts))})["a"]

    assert torch.equal(under(0.25, 0.5), under(0.75))
    assert torch.equal(under(0.5, 0.0), under(0.5))
    before = tiny_model.counters.control
    plain = noise(tiny_model, {"a": Seen(x, text)})["a"]
    assert torch.equal(under(0.0), plain)
    assert tiny_model.counters.control == before


def test_different_controls_each_see_their_own_rows(tiny_model: Any) -> None:
    x, y = latents(2)
    text = tiny_model.text("a cat").embeddings
    weak, strong = Adds(0.1), Adds(0.9)
    rows = {"a": Seen(x, text, controls=(weak,)), "b": Seen(y, text, controls=(strong, weak))}
    noise(tiny_model, rows)
    assert torch.equal(weak.shown[0][0], torch.cat([x, y]))
    assert torch.equal(strong.shown[0][0], y)


def test_observers_watch_beside_a_plan_and_leave(tiny_model: Any) -> None:
    site = next(site for site in tiny_model.sites if site.kind == "cross")
    watched: list[Tensor] = []
    told: list[tuple[str, ...]] = []
    (x,) = latents(1)
    rows = {"a": Seen(x, tiny_model.text("a cat").embeddings)}

    def swap(p: Mapping[str, Tensor], *_: Any) -> dict[str, Tensor]:
        return {"a": p["a"].flip(-1)}

    def watch(p: Mapping[str, Tensor], *_: Any) -> dict[str, Tensor]:
        watched.append(p["a"].clone())
        return {}

    plan = Plan((Hook(frozenset({site}), range(1), ("a",), swap),))
    observer = Hook(frozenset({site}), range(1), ("a",), watch)
    alone_ = noise(tiny_model, rows, plan=plan)["a"]
    with tiny_model.denoiser.observed(observer, on_call=lambda seen, step: told.append(tuple(seen))):
        assert torch.equal(noise(tiny_model, rows, plan=plan)["a"], alone_)
        noise(tiny_model, rows)
    noise(tiny_model, rows)
    assert len(watched) == 2
    assert torch.equal(*watched), "it sees the maps before the plan has acted on them"
    assert told == [("a",), ("a",)]
    assert (tiny_model.denoiser.observers, tiny_model.denoiser.listeners) == ([], [])


def test_observers_leave_when_something_fails(tiny_model: Any) -> None:
    site = tiny_model.sites[0]
    observer = Hook(frozenset({site}), range(1), ("a",), lambda *_: {})
    with pytest.raises(KeyError), tiny_model.denoiser.observed(observer):
        raise KeyError
    assert tiny_model.denoiser.observers == []


def test_guidance_is_a_line_through_two_rows() -> None:
    eps = {"u": torch.ones(1), "c": torch.full((1,), 3.0)}
    assert guided("u", "c", 2.5)(eps, 0).item() == 6.0
    assert guided("u", "c", 1.0)(eps, 0).item() == 3.0
    assert alone("u")(eps, 0) is eps["u"]
