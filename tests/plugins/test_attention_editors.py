"""MasaCtrl, Plug-and-Play, Pix2Pix-Zero: what must hold on any weights (methods.md §§8, 12, 19, 21)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from sfumato.diffusion.attention import Plan, Qkv, StreamHook
from sfumato.diffusion.branches import inverted_branch
from sfumato.diffusion.guidance import AttentionGuidance
from sfumato.diffusion.inversion import Inversion, invert_ddim
from sfumato.diffusion.sampling import sample
from sfumato.errors import InputError, MethodError
from sfumato.method import EditRequest
from sfumato_plugins.ddim import Ddim, DdimParams
from sfumato_plugins.direct import Direct
from sfumato_plugins.masactrl import MasaCtrl, MasaCtrlParams, MutualSelfAttention, divided
from sfumato_plugins.pix2pix_zero import Pix2PixZero, Pix2PixZeroParams, banks, edit_direction
from sfumato_plugins.plug_and_play import PlugAndPlay, PlugAndPlayParams, injection
from sfumato_plugins.reprompt import Reprompt
from tests.tiny import drain

Make = Callable[..., EditRequest[Any]]
STEPS = 8


@pytest.fixture
def invert(tiny_model: Any, tiny_request: Make) -> Callable[[str, str], Inversion]:
    """An inversion by "ddim" or "direct" under a prompt."""

    def make(kind: str, prompt: str) -> Inversion:
        method = Direct() if kind == "direct" else Ddim()
        params = method.params() if kind == "direct" else DdimParams(measure=False)
        return drain(method.invert(tiny_request(source=prompt, params=params), tiny_model))

    return make


def rows_of(model: Any, run: Callable[[], Any]) -> tuple[int, int]:
    """(forward, backward) row evaluations of a run."""
    before = replace(model.counters)
    run()
    return model.counters.forward - before.forward, model.counters.backward - before.backward


def reprompted(request: EditRequest[Any], inversion: Inversion, model: Any) -> torch.Tensor:
    return drain(Reprompt().edit(request, inversion, model)).latents


# MasaCtrl


def masactrl(request: EditRequest[Any], inversion: Inversion, model: Any, **params: Any) -> Any:
    return drain(MasaCtrl().edit(replace(request, params=MasaCtrlParams(**params)), inversion, model))


@pytest.mark.parametrize("kind", ["ddim", "direct"])
@pytest.mark.parametrize("closed", [{"start_step": 1.0}, {"start_layer": 7}, {"start_layer": 139}], ids=str)
def test_masactrl_with_a_closed_window_is_reprompting(
    kind: str, closed: dict[str, Any], tiny_model: Any, tiny_request: Make, invert: Any
) -> None:
    inversion = invert(kind, "")
    edit = masactrl(tiny_request(), inversion, tiny_model, **closed)
    assert torch.equal(edit.latents, reprompted(tiny_request(), inversion, tiny_model))


@pytest.mark.parametrize("kind", ["ddim", "direct"])
def test_masactrl_acts_while_its_window_is_open(
    kind: str, tiny_model: Any, tiny_request: Make, invert: Any
) -> None:
    inversion, request = invert(kind, ""), tiny_request()
    plain = reprompted(request, inversion, tiny_model)
    edits = [
        masactrl(request, inversion, tiny_model, **values).latents
        for values in ({}, {"looks": "at both"}, {"start_layer": 0}, {"start_step": 0.5})
    ]
    for k, edit in enumerate(edits):
        assert not torch.equal(edit, plain)
        assert not any(torch.equal(edit, other) for other in edits[:k])


def test_masactrl_leaves_the_source_untouched(tiny_model: Any, tiny_request: Make, invert: Any) -> None:
    """Bit for bit what the same four rows give under a plan that does nothing."""
    inversion, request = invert("ddim", "a cat on the grass"), tiny_request()
    texts = {"src": request.source, "tgt": request.target}
    rows = [inverted_branch(tiny_model, request, inversion, *each) for each in texts.items()]
    nothing = StreamHook(frozenset(tiny_model.sites), range(STEPS), ("src.c",), lambda *_: {})
    with torch.no_grad():
        *_, idle = sample(tiny_model, rows, inversion.grid, plan=Plan((nothing,)))
    edits = [
        masactrl(
            tiny_request(target=target), inversion, tiny_model, source_text="source prompt", start_layer=0
        )
        for target in (request.target, "a red car in snow")
    ]
    assert torch.equal(edits[0].source, idle.latents["src"])
    assert torch.equal(edits[1].source, idle.latents["src"])
    assert not torch.equal(edits[0].latents, idle.latents["tgt"])


@pytest.mark.parametrize("text", ["empty", "source prompt"])
def test_masactrl_with_equal_prompts_is_its_source(
    text: str, tiny_model: Any, tiny_request: Make, invert: Any
) -> None:
    prompt = "" if text == "empty" else "a cat on the grass"
    request = tiny_request(target=prompt)
    edit = masactrl(request, invert("ddim", prompt), tiny_model, source_text=text, start_layer=0)
    assert torch.equal(edit.latents, edit.source)


def test_masactrl_with_an_all_one_mask_is_masactrl_without(
    tiny_model: Any, tiny_request: Make, invert: Any
) -> None:
    inversion = invert("direct", "")
    plain = masactrl(tiny_request(), inversion, tiny_model)
    masked = tiny_request(latent_mask=torch.ones(1, 1, 16, 16))
    assert torch.equal(masactrl(masked, inversion, tiny_model, foreground="my mask").latents, plain.latents)


@pytest.mark.parametrize("looks", ["at the source", "at both"])
def test_masactrl_tells_front_and_background_apart(
    looks: str, tiny_model: Any, tiny_request: Make, invert: Any
) -> None:
    inversion, masked = invert("direct", ""), tiny_request(latent_mask=some_mask())
    free = masactrl(masked, inversion, tiny_model, looks=looks).latents
    apart = masactrl(masked, inversion, tiny_model, looks=looks, foreground="my mask").latents
    assert not torch.equal(free, apart)
    outside = (some_mask() == 0).expand_as(apart)
    assert torch.equal(apart[outside], inversion.x0[outside])


def test_masactrl_finds_the_front_by_words(tiny_model: Any, tiny_request: Make, invert: Any) -> None:
    inversion, request = invert("direct", "a cat on the grass"), tiny_request()
    free = masactrl(request, inversion, tiny_model, source_text="source prompt").latents
    edits = [
        masactrl(
            request, inversion, tiny_model, foreground="words", source_words=words, threshold=0.5
        ).latents
        for words in ("", "cat", "grass")
    ]
    assert torch.equal(edits[0], edits[1])
    assert not torch.equal(edits[1], edits[2])
    assert not torch.equal(edits[1], free)
    with pytest.raises(InputError, match="car"):
        masactrl(request, inversion, tiny_model, foreground="words", source_words="car")


def test_masactrl_inverts_with_nothing_unless_words_are_wanted(tiny_request: Make) -> None:
    prompts = [
        MasaCtrl().prompt_to_invert(tiny_request(params=MasaCtrlParams(**values)))
        for values in ({}, {"source_text": "source prompt"}, {"foreground": "words"})
    ]
    assert prompts == ["", "a cat on the grass", "a cat on the grass"]


def test_front_looks_at_front_and_background_at_background() -> None:
    """Values are 1 in the source's front and 0 behind it: what arrives is the target's own division."""
    source, target = torch.zeros(1, 1, 4, 4).bool(), torch.zeros(1, 1, 4, 4).bool()
    source[..., :2], target[..., 1:3, :] = True, True
    rows = {
        name: Qkv(
            torch.randn(2, 16, 3), torch.randn(2, 16, 3), source.flatten().float().expand(3, 16).T[None]
        )
        for name in ("tgt.c", "src.c")
    }
    act = MutualSelfAttention({"tgt.c": "src.c"}, False, lambda _: (target, source))
    seen = act(rows, None, 0)["tgt.c"]  # type: ignore[arg-type]
    value = seen.value.expand(2, -1, -1)
    out = scaled_dot_product_attention(seen.query, seen.key, value, attn_mask=seen.bias)
    torch.testing.assert_close(out[..., 0], target.flatten().float().expand(2, -1))
    assert divided(target, torch.ones_like(source)) is None
    assert divided(target, torch.zeros_like(source)) is None


def test_masactrl_changes_no_cross_attention(tiny_model: Any, tiny_request: Make, invert: Any) -> None:
    """What every cross layer gives under the hook is what its own processor makes of what it was given."""
    inversion, calls = invert("direct", ""), []
    crosses = [tiny_model.unet.get_submodule(site.name) for site in tiny_model.sites if site.kind == "cross"]

    def watch(module: Any, inputs: tuple[Any, ...], keywords: dict[str, Any], output: Any) -> None:
        calls.append((module, inputs, keywords, output))

    handles = [module.register_forward_hook(watch, with_kwargs=True) for module in crosses]
    masactrl(tiny_request(steps=2), replace(inversion), tiny_model, start_layer=0)
    for handle in handles:
        handle.remove()
    assert len(calls) == STEPS * len(crosses)
    with torch.no_grad():
        for module, inputs, keywords, output in calls:
            assert torch.equal(module(*inputs, **keywords), output)


@pytest.mark.parametrize(
    ("kind", "negative", "values", "expected"),
    [
        ("direct", "", {"start_step": 0.5}, STEPS * 2 + STEPS // 2),
        ("direct", "car", {"start_step": 0.5}, STEPS * 2 + STEPS // 2 * 2),
        ("direct", "", {}, STEPS * 3),
        ("ddim", "", {}, STEPS * 3),
        ("ddim", "car", {}, STEPS * 4),
        ("direct", "car", {"foreground": "words"}, STEPS * 4),
    ],
)
def test_masactrl_computes_only_rows_that_are_read(
    kind: str,
    negative: str,
    values: dict[str, Any],
    expected: int,
    tiny_model: Any,
    tiny_request: Make,
    invert: Any,
) -> None:
    """At most four rows a step; one serves both halves where they see the same text."""
    inversion = invert(kind, "")
    request = tiny_request(negative=negative)
    run = rows_of(tiny_model, lambda: masactrl(request, inversion, tiny_model, **values))
    assert run == (expected, 0)


# Plug-and-Play


def pnp(request: EditRequest[Any], inversion: Inversion, model: Any, **params: Any) -> Any:
    return drain(PlugAndPlay().edit(replace(request, params=PlugAndPlayParams(**params)), inversion, model))


@pytest.mark.parametrize("kind", ["ddim", "direct"])
def test_plug_and_play_with_closed_windows_is_reprompting(
    kind: str, tiny_model: Any, tiny_request: Make, invert: Any
) -> None:
    inversion = invert(kind, "")
    edit = pnp(tiny_request(), inversion, tiny_model, feature_steps=0, self_steps=0)
    assert torch.equal(edit.latents, reprompted(tiny_request(), inversion, tiny_model))


def test_each_window_of_plug_and_play_acts(tiny_model: Any, tiny_request: Make, invert: Any) -> None:
    inversion, request = invert("direct", ""), tiny_request()
    edits = [reprompted(request, inversion, tiny_model)]
    for values in ({"feature_steps": 0}, {"self_steps": 0}, {}, {"source_path": "sampled back"}):
        edits.append(pnp(request, inversion, tiny_model, **values).latents)
        assert not any(torch.equal(edits[-1], other) for other in edits[:-1])


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_plug_and_play_with_equal_prompts_is_its_source(
    guidance: float, tiny_model: Any, tiny_request: Make, invert: Any
) -> None:
    request = tiny_request(target="", guidance=guidance)
    edit = pnp(request, invert("ddim", ""), tiny_model, source_path="sampled back")
    assert torch.equal(edit.latents, edit.source)


def test_plug_and_play_acts_in_both_halves_and_where_it_says(tiny_model: Any) -> None:
    plan = injection(tiny_model, PlugAndPlayParams(), range(2, 10), ("tgt.u", "tgt.c"))
    features, related = plan.hooks
    source, own = torch.ones(2, 3), torch.zeros(2, 3)
    rows = {"src.c": source, "tgt.u": own, "tgt.c": own}
    given: Any = features.act(rows, 2)  # type: ignore[arg-type,call-arg]
    assert set(given) == {"tgt.u", "tgt.c"}
    assert all(torch.equal(each, source) for each in given.values())
    streams = {name: Qkv(each, each, each) for name, each in rows.items()}
    for stream in related.act(streams, None, 2).values():  # type: ignore[arg-type,call-arg]
        assert torch.equal(stream.query, source)
        assert torch.equal(stream.key, source)
        assert torch.equal(stream.value, own)
    assert (features.steps, related.steps) == (range(2, 8), range(2, 6))


def test_plug_and_play_costs_three_rows_while_it_acts(
    tiny_model: Any, tiny_request: Make, invert: Any
) -> None:
    inversion = invert("ddim", "")
    run = rows_of(tiny_model, lambda: pnp(tiny_request(), inversion, tiny_model))
    assert run == (STEPS * 2 + int(0.8 * STEPS), 0)


# Pix2Pix-Zero


PUBLISHED = {"amount": 0.1, "away_from": "source prompt"}


def zero(request: EditRequest[Any], inversion: Inversion, model: Any, **params: Any) -> Any:
    chosen = Pix2PixZeroParams(**PUBLISHED | params)
    return drain(Pix2PixZero().edit(replace(request, params=chosen), inversion, model))


CAPTION = "a cat on the grass"
HALVES = ("unconditional half", "conditional half", "both")


@pytest.mark.parametrize("kind", ["ddim", "direct"])
def test_without_direction_and_guidance_pix2pix_zero_is_its_reference(
    kind: str, tiny_model: Any, tiny_request: Make, invert: Any
) -> None:
    """The reference samples under the caption, with the caption as negative prompt."""
    inversion = invert(kind, CAPTION)
    reference = reprompted(tiny_request(target=CAPTION, negative=CAPTION), inversion, tiny_model)
    edit = zero(tiny_request(), inversion, tiny_model, amount=0, strength=0)
    assert torch.equal(edit.latents, reference)


@pytest.mark.parametrize("carried", HALVES)
@pytest.mark.parametrize("negative", ["", "car"])
def test_without_direction_any_guidance_leaves_the_reference(
    carried: str, negative: str, tiny_model: Any, tiny_request: Make, invert: Any
) -> None:
    request = tiny_request(target=CAPTION, negative=negative)
    away = "negative prompt" if negative else "source prompt"
    inversion = invert("ddim", CAPTION)
    edit = zero(request, inversion, tiny_model, amount=0.3, carried=carried, away_from=away)
    assert torch.equal(edit.latents, edit.source)


def test_guidance_and_its_halves_matter(tiny_model: Any, tiny_request: Make, invert: Any) -> None:
    inversion = invert("direct", CAPTION)
    edits = [zero(tiny_request(), inversion, tiny_model, amount=0).latents]
    for carried in HALVES:
        edits.append(zero(tiny_request(), inversion, tiny_model, carried=carried).latents)
        assert not any(torch.equal(edits[-1], other) for other in edits[:-1])


@pytest.mark.parametrize(("carried", "apart"), [(HALVES[0], True), (HALVES[1], False), (HALVES[2], False)])
def test_as_published_each_half_looks_at_its_own_correction(
    carried: str, apart: bool, tiny_model: Any, tiny_request: Make, invert: Any, monkeypatch: Any
) -> None:
    inversion, denoiser, seen = invert("direct", CAPTION), tiny_model.denoiser, []

    def spy(rows: Any, level: int, *, plan: Any = None, step: int = 0) -> Any:
        if "tgt.u" in rows and not torch.is_grad_enabled():
            seen.append(torch.equal(rows["tgt.u"].latent, rows["tgt.c"].latent))
        return denoiser(rows, level, plan=plan, step=step)

    monkeypatch.setattr(tiny_model, "denoiser", spy)
    zero(tiny_request(), inversion, tiny_model, carried=carried)
    assert seen == [not apart] * STEPS


def test_a_small_correction_brings_the_maps_nearer(tiny_model: Any, tiny_request: Make, invert: Any) -> None:
    inversion, request = invert("direct", CAPTION), tiny_request()
    source, target = (
        inverted_branch(tiny_model, request, inversion, name, prompt)
        for name, prompt in (("src", request.source), ("tgt", request.target))
    )
    losses = []
    for rate in (1e-9, 0.05):
        guide = AttentionGuidance(
            tiny_model, inversion.grid, rate, carried="both", reference=source, target=target
        )
        with torch.no_grad():
            next(sample(tiny_model, [source], inversion.grid, plan=guide.watching))
            x = guide.corrected(target.latent, 0, "test")
            losses.append(distance(guide, x, tiny_model))
    assert losses[1] < losses[0]


def distance(guide: AttentionGuidance, x: torch.Tensor, model: Any) -> float:
    """Σ ‖A - A_ref‖² of a latent at step 0."""
    rows = {row.name: row.seen(x, 0) for row in guide.target.rows}
    model.denoiser(rows, guide.grid.levels[0], plan=guide.comparing, step=0)
    return float(torch.stack(guide._terms).sum())


def test_adding_the_sources_drift_leads_an_unchanged_edit_home(
    tiny_model: Any, tiny_request: Make, invert: Any
) -> None:
    inversion, request = invert("direct", CAPTION), tiny_request(target=CAPTION)
    edit = zero(request, inversion, tiny_model, add_source=True)
    assert torch.equal(edit.latents, inversion.x0)
    assert torch.equal(edit.source, inversion.x0)
    assert not torch.equal(zero(request, inversion, tiny_model).latents, inversion.x0)


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("direct", {}, (6 * STEPS, 2 * STEPS)),
        ("ddim", {}, (6 * STEPS, 2 * STEPS)),
        ("direct", {"amount": 0}, (2 * STEPS, 0)),
        ("direct", {"amount": 0, "add_source": True}, (4 * STEPS, 0)),
    ],
)
def test_pix2pix_zero_costs_a_reference_a_gradient_and_a_step(
    kind: str,
    values: dict[str, Any],
    expected: tuple[int, int],
    tiny_model: Any,
    tiny_request: Make,
    invert: Any,
) -> None:
    """Of 50 steps: 200 E + 100 G, and 100 E for the reference that is not kept."""
    inversion = invert(kind, CAPTION)
    assert rows_of(tiny_model, lambda: zero(tiny_request(), inversion, tiny_model, **values)) == expected


@pytest.mark.parametrize("direction", ["prompts", "words", "sentences"])
def test_swapped_banks_negate_the_direction(direction: str, tiny_model: Any, tiny_request: Make) -> None:
    p = Pix2PixZeroParams(
        direction=direction, source_sentences="a cat; the cat on grass", target_sentences="a dog\na big dog;"
    )
    request = tiny_request(params=p)
    sources, targets = ([tiny_model.text(each) for each in bank] for bank in banks(request))
    there, back = edit_direction(sources, targets), edit_direction(targets, sources)
    assert torch.equal(there, -back)
    assert there.abs().max() > 0
    if direction == "sentences":
        assert [len(bank) for bank in banks(request)] == [2, 2]


@pytest.mark.parametrize(
    ("values", "target"),
    [
        ({"direction": "sentences", "source_sentences": "a cat"}, "a dog"),
        ({"direction": "words"}, "a big cat on the grass in snow"),
    ],
)
def test_a_direction_without_an_end_is_refused(
    values: dict[str, Any], target: str, tiny_model: Any, tiny_request: Make, invert: Any
) -> None:
    request = tiny_request(target=target, source="a cat" if values["direction"] == "words" else CAPTION)
    inversion = invert("direct", CAPTION)
    if values["direction"] == "words":
        request = replace(request, target="a cat in snow")
    with pytest.raises(InputError, match="direction"):
        zero(request, inversion, tiny_model, **values)


@pytest.mark.parametrize(("decorrelate", "normalise"), [(0.0, 0.0), (20.0, 0.0), (0.0, 20.0), (20.0, 20.0)])
def test_a_regularised_inversion_without_weights_is_the_plain_one(
    decorrelate: float, normalise: float, tiny_model: Any, tiny_request: Make
) -> None:
    p = DdimParams(measure=False, decorrelate=decorrelate, normalise=normalise)
    inversion = drain(Ddim().invert(tiny_request(params=p), tiny_model))
    request = tiny_request()
    plain = drain(invert_ddim(tiny_model, request.x0, tiny_model.text(CAPTION), tiny_model.grid(request)))
    assert torch.equal(inversion.trajectory, plain) == (decorrelate == normalise == 0)


# All three


@pytest.mark.parametrize("method", [MasaCtrl(), PlugAndPlay(), Pix2PixZero()], ids=lambda each: each.name)
class TestEachAttentionEditor:
    def test_holds_the_source_outside_a_mask(
        self, method: Any, tiny_model: Any, tiny_request: Make, invert: Any
    ) -> None:
        masked = tiny_request(latent_mask=some_mask(), params=method.params())
        for kind in ("ddim", "direct"):
            inversion = invert(kind, method.prompt_to_invert(masked))
            edit = drain(method.edit(masked, inversion, tiny_model)).latents
            outside = (some_mask() == 0).expand_as(edit)
            assert torch.equal(edit[outside], inversion.x0[outside])
            assert not torch.equal(edit, inversion.x0)

    def test_says_at_the_first_step_that_a_model_has_no_attention(
        self, method: Any, tiny_model: Any, tiny_request: Make, invert: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inversion = invert("direct", CAPTION)
        monkeypatch.setattr(tiny_model, "sites", ())
        before = tiny_model.counters.forward
        with pytest.raises(MethodError, match="no attention layer"):
            drain(method.edit(tiny_request(params=method.params()), inversion, tiny_model))
        assert tiny_model.counters.forward - before == 2

    def test_windows_are_shares_of_the_steps_that_are_run(
        self, method: Any, tiny_model: Any, tiny_request: Make, invert: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Half of the steps skipped: what is counted is the other half."""
        acted = steps_acted(monkeypatch)
        request = tiny_request(start=0.5, params=method.params())
        drain(method.edit(request, invert("direct", CAPTION), tiny_model))
        last = {"masactrl": 8, "plug_and_play": 7, "pix2pix_zero": 8}[method.name]
        assert acted == set(range(4, last))

    def test_acts_at_guidance_one(
        self, method: Any, tiny_model: Any, tiny_request: Make, invert: Any
    ) -> None:
        request = tiny_request(guidance=1.0, params=method.params())
        inversion = invert("direct", method.prompt_to_invert(request))
        edit = drain(method.edit(request, inversion, tiny_model)).latents
        assert not torch.equal(edit, reprompted(request, inversion, tiny_model))

    def test_leaves_no_gradient_behind(
        self, method: Any, tiny_model: Any, tiny_request: Make, invert: Any
    ) -> None:
        edit = drain(method.edit(tiny_request(params=method.params()), invert("direct", ""), tiny_model))
        assert not edit.latents.requires_grad
        assert all(weight.grad is None for weight in tiny_model.unet.parameters())


def steps_acted(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Steps at which any plan acts from now on."""
    steps: set[int] = set()
    check = Plan.check_acted

    def noted(self: Plan, title: str, step: int) -> None:
        steps.update(at for _, at in self.acted)
        check(self, title, step)

    monkeypatch.setattr(Plan, "check_acted", noted)
    return steps


def some_mask() -> torch.Tensor:
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 3:9, 6:12] = 1
    return mask
