"""What must hold for these methods on any weights, bit for bit where it says so (methods.md §§1-4, 7, 11)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from sfumato.diffusion.attention import Hook, Plan
from sfumato.diffusion.blending import LocalBlend
from sfumato.diffusion.branches import fresh_noise, inverted_branch
from sfumato.diffusion.denoiser import Seen
from sfumato.diffusion.inversion import Inversion, invert_ddim
from sfumato.diffusion.prompt_control import cross_edit
from sfumato.diffusion.sampling import sample
from sfumato.diffusion.text import equalizer, replacement
from sfumato.errors import MethodError
from sfumato.method import EditRequest
from sfumato.params import Params
from sfumato_plugins.blended import Blended, BlendedParams
from sfumato_plugins.ddim import Ddim, DdimParams
from sfumato_plugins.ddim_naive import DdimNaive, StrengthParams
from sfumato_plugins.direct import Direct
from sfumato_plugins.generate import Generate
from sfumato_plugins.naive import Naive, NaiveParams
from sfumato_plugins.p2p import P2PParams, PromptToPrompt
from sfumato_plugins.reprompt import Reprompt
from tests.tiny import drain
from tests.tiny import tiny_model as build_tiny_model

Make = Callable[..., EditRequest[Any]]
OPEN = {"local": "off"}


@pytest.fixture
def ddim(tiny_model: Any, tiny_request: Make) -> Inversion:
    return drain(Ddim().invert(tiny_request(params=DdimParams(measure=False)), tiny_model))


@pytest.fixture
def direct(tiny_model: Any, tiny_request: Make) -> Inversion:
    return drain(Direct().invert(tiny_request(), tiny_model))


def p2p(request: EditRequest[Any], inversion: Inversion, model: Any, **params: Any) -> Any:
    return drain(PromptToPrompt().edit(replace(request, params=P2PParams(**OPEN | params)), inversion, model))


def joint(request: EditRequest[Any], inversion: Inversion, model: Any, plan: Plan) -> dict[str, torch.Tensor]:
    """Source and target rows sampled together, with explicit softmax everywhere: one batch layout."""
    watch = Hook(frozenset(model.sites), range(inversion.grid.steps), ("src.c", "tgt.c"), lambda *_: {})
    rows = [
        inverted_branch(model, request, inversion, name, prompt)
        for name, prompt in (("src", request.source), ("tgt", request.target))
    ]
    with torch.no_grad():
        *_, last = sample(model, rows, inversion.grid, plan=Plan((watch, *plan.hooks)))
    return last.latents


# Prompt-to-Prompt


@pytest.mark.parametrize("kind", ["ddim", "direct"])
def test_p2p_with_closed_windows_is_reprompting(
    kind: str, tiny_model: Any, tiny_request: Make, request: Any
) -> None:
    inversion = request.getfixturevalue(kind)
    edit = p2p(tiny_request(), inversion, tiny_model, cross_steps=0, self_steps=0)
    plain = drain(Reprompt().edit(tiny_request(), inversion, tiny_model))
    assert torch.equal(edit.latents, plain.latents)


def test_p2p_does_something_while_its_windows_are_open(
    tiny_model: Any, tiny_request: Make, direct: Inversion
) -> None:
    plain = drain(Reprompt().edit(tiny_request(), direct, tiny_model))
    for windows in ({"self_steps": 0.0}, {"cross_steps": 0.0}, {"maps_from": "inversion pass"}):
        assert not torch.equal(p2p(tiny_request(), direct, tiny_model, **windows).latents, plain.latents)


@pytest.mark.parametrize("edit", ["replace", "refine"])
def test_equal_prompts_give_equal_rows(
    edit: str, tiny_model: Any, tiny_request: Make, ddim: Inversion
) -> None:
    same = tiny_request(target="a cat on the grass")
    result = p2p(same, ddim, tiny_model, edit=edit)
    assert torch.equal(result.latents, result.source)


def test_the_source_row_does_not_depend_on_the_edit(
    tiny_model: Any, tiny_request: Make, ddim: Inversion
) -> None:
    sources = [
        p2p(tiny_request(target=target, word_weights=weights), ddim, tiny_model).source
        for target, weights in (("a dog on the grass", {}), ("a red car in snow", {"car": 2.5}))
    ]
    assert torch.equal(sources[0], sources[1])


def test_weight_one_is_a_no_op_and_two_is_not(tiny_model: Any, tiny_request: Make, ddim: Inversion) -> None:
    results = [
        p2p(tiny_request(word_weights=weights), ddim, tiny_model).latents
        for weights in ({}, {"dog": 1.0}, {"dog": 2.0})
    ]
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_refine_and_replace_agree_on_equal_prompts(
    tiny_model: Any, tiny_request: Make, ddim: Inversion
) -> None:
    same = tiny_request(target="a cat on the grass")
    by_refine = p2p(same, ddim, tiny_model, edit="refine").latents
    assert torch.equal(by_refine, p2p(same, ddim, tiny_model, edit="replace").latents)


def test_the_joint_pass_with_no_act_is_the_plain_joint_pass(
    tiny_model: Any, tiny_request: Make, ddim: Inversion
) -> None:
    request = tiny_request()
    nothing = Hook(frozenset(tiny_model.sites), range(0), ("src.c", "tgt.c"), lambda *_: 1 / 0)
    with_plan = joint(request, ddim, tiny_model, Plan((nothing,)))
    plain = joint(request, ddim, tiny_model, Plan())
    assert torch.equal(with_plan["tgt"], plain["tgt"])
    assert torch.equal(with_plan["src"], plain["src"])


def test_outside_its_area_a_local_blend_leaves_the_source(
    tiny_model: Any, tiny_request: Make, direct: Inversion
) -> None:
    result = p2p(tiny_request(), direct, tiny_model, local="changed words", threshold=0.97)
    inside = result.mask.bool().expand_as(result.latents)
    assert 0 < inside.float().mean() < 1
    assert torch.equal(result.latents[~inside], direct.x0[~inside])


@pytest.mark.parametrize("everywhere", [True, False])
def test_a_local_blend_of_everything_is_none_and_of_nothing_is_the_source(
    everywhere: bool, tiny_model: Any, tiny_request: Make, ddim: Inversion, monkeypatch: pytest.MonkeyPatch
) -> None:
    def area(self: LocalBlend, shape: Any) -> torch.Tensor:
        return torch.full((1, 1, *shape[-2:]), everywhere)

    monkeypatch.setattr(LocalBlend, "mask", area)
    blended = p2p(tiny_request(), ddim, tiny_model, local="changed words", local_start=0.0)
    if everywhere:
        # A blend that never begins looks at the same maps: one layout, one softmax.
        never = p2p(tiny_request(), ddim, tiny_model, local="changed words", local_start=1.0)
        assert torch.equal(blended.latents, never.latents)
        assert not torch.equal(blended.latents, blended.source)
    else:
        assert torch.equal(blended.latents, blended.source)


def test_a_word_in_the_place_of_another_leaves_the_attention_whole(tiny_model: Any) -> None:
    """Equal numbers of tokens: the target's probabilities still sum to 1 (methods.md §4 e)."""
    source, target = tiny_model.text("a cat on the grass"), tiny_model.text("a dog on the grass")
    act = cross_edit(source, target, equalizer(target, {}), kind="replace")
    A = torch.randn(2, 9, len(source.embeddings[0]), generator=torch.Generator().manual_seed(0)).softmax(-1)
    given = act({"src.c": A, "tgt.c": A.flip(1)}, tiny_model.sites[1], 0)["tgt.c"]
    torch.testing.assert_close(given.sum(-1), torch.ones(2, 9))
    assert torch.equal(given, A @ replacement(source, target))


def test_full_injection_does_not_make_a_corrected_source_of_the_target(
    tiny_model: Any, tiny_request: Make, direct: Inversion
) -> None:
    """Attention alone couples them: once the source is put right, their latents differ (methods.md §7 e)."""
    same = tiny_request(target="a cat on the grass")
    edit = p2p(same, direct, tiny_model, cross_steps=1.0, self_steps=1.0)
    assert torch.equal(edit.source, direct.x0)
    assert not torch.allclose(edit.latents, edit.source, atol=1e-3)


def test_p2ps_published_area_is_seen_after_the_injection(
    tiny_model: Any, tiny_request: Make, direct: Inversion
) -> None:
    """With a word in another's place, equal maps: the target's area is the source's (methods.md §4 iv)."""
    request = tiny_request()
    values = {"local": "changed words", "cross_steps": 1.0, "edit": "replace", "threshold": 0.9}
    published = p2p(request, direct, tiny_model, official_area=True, **values)
    other = p2p(replace(request, word_weights={"dog": 1.5}), direct, tiny_model, official_area=True, **values)
    assert torch.equal(published.mask, other.mask)
    assert not published.mask_follows_edges
    assert not torch.equal(published.mask, p2p(request, direct, tiny_model, **values).mask)


def test_where_spared_words_attend_nothing_changes(
    tiny_model: Any, tiny_request: Make, direct: Inversion
) -> None:
    free, held = (
        p2p(tiny_request(), direct, tiny_model, local="changed words", threshold=0.3, spared=spared)
        for spared in ("", "grass unicorn")
    )
    assert held.mask.sum() < free.mask.sum()
    outside = ~held.mask.bool().expand_as(held.latents)
    assert torch.equal(held.latents[outside], direct.x0[outside])


def test_p2p_acts_on_models_without_16x16_maps(tiny_model: Any, tiny_request: Make) -> None:
    small = tiny_request(latent_shape=(1, 4, 8, 8), x0=torch.randn(1, 4, 8, 8))
    inversion = drain(Direct().invert(small, tiny_model))
    assert p2p(small, inversion, tiny_model, local="changed words").mask is not None


def test_maps_from_the_inversion_pass_are_the_inversions_own(
    tiny_model: Any, tiny_request: Make, direct: Inversion
) -> None:
    """The row that stands for the inversion sees the very latent and time the inversion saw."""
    request = tiny_request(params=P2PParams(**OPEN, maps_from="inversion pass"))
    seen: list[torch.Tensor] = []
    denoiser = tiny_model.denoiser

    def spy(rows: Any, level: int, **keywords: Any) -> Any:
        if "src.c" in rows:
            seen.append(rows["src.c"][0])
        return denoiser(rows, level, **keywords)

    tiny_model.denoiser = spy
    try:
        drain(PromptToPrompt().edit(request, direct, tiny_model))
    finally:
        tiny_model.denoiser = denoiser
    assert direct.trajectory is not None
    assert len(seen) == int(P2PParams().cross_steps * 9)
    for i, latent in enumerate(seen):
        assert torch.equal(latent[0], direct.trajectory[i + 1])


@pytest.mark.parametrize("local", ["off", "changed words"])
def test_a_model_without_attention_is_told_at_the_first_step(
    local: str, tiny_model: Any, tiny_request: Make, direct: Inversion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_model, "sites", ())
    before = tiny_model.counters.forward
    with pytest.raises(MethodError, match="no attention layer"):
        p2p(tiny_request(), direct, tiny_model, local=local)
    assert tiny_model.counters.forward - before == 2


# Inversions


def test_directs_source_row_is_the_trajectory(tiny_model: Any, tiny_request: Make, direct: Inversion) -> None:
    assert direct.trajectory is not None
    source = p2p(tiny_request(), direct, tiny_model).source
    assert torch.equal(source, direct.x0)
    assert torch.equal(direct.trajectory[-1:], direct.x0)


def test_direct_with_p2p_drops_rows_nobody_reads(
    tiny_model: Any, tiny_request: Make, direct: Inversion
) -> None:
    """tgt.u and tgt.c at each of 8 steps, src.c only during the longer window (7 of 8): 23 rows, not 32."""
    before = tiny_model.counters.forward
    p2p(tiny_request(), direct, tiny_model, cross_steps=0.8, self_steps=0.4)
    assert tiny_model.counters.forward - before == 8 * 2 + int(0.8 * 9)


def test_the_published_four_rows_change_the_last_bits_only(
    tiny_model: Any, tiny_request: Make, direct: Inversion
) -> None:
    few = p2p(tiny_request(), direct, tiny_model)
    before = tiny_model.counters.forward
    four = p2p(tiny_request(), direct, tiny_model, official_rows=True)
    assert tiny_model.counters.forward - before == 8 * 4
    torch.testing.assert_close(four.latents, few.latents, rtol=1e-3, atol=1e-3)
    assert torch.equal(four.source, direct.x0)


def test_ddim_inversion_costs_one_row_a_step(tiny_model: Any, tiny_request: Make) -> None:
    before = tiny_model.counters.forward
    drain(Ddim().invert(tiny_request(params=DdimParams(measure=False)), tiny_model))
    assert tiny_model.counters.forward - before == 8


def test_an_inversion_step_undoes_its_own_noise(tiny_model: Any, tiny_request: Make, ddim: Inversion) -> None:
    """Moving back with the noise the inversion used returns the lower latent."""
    assert ddim.trajectory is not None
    with torch.no_grad():
        text = tiny_model.text(ddim.prompt).embeddings
        for i in range(ddim.grid.steps):
            high, low = ddim.grid.levels[i], ddim.grid.levels[i + 1]
            eps = tiny_model.denoiser({"r": Seen(ddim.trajectory[i + 1 : i + 2], text)}, high)["r"]
            up = tiny_model.schedule.move(ddim.trajectory[i + 1 : i + 2].double(), eps.double(), low, high)
            torch.testing.assert_close(up.float(), ddim.trajectory[i : i + 1], rtol=1e-6, atol=1e-6)
            back = tiny_model.schedule.move(up, eps.double(), high, low).float()
            torch.testing.assert_close(back, ddim.trajectory[i + 1 : i + 2], rtol=0, atol=1e-6)


def test_a_network_blind_to_the_picture_takes_it_there_and_back(tiny_request: Make) -> None:
    """ε that does not depend on x, by a convolution of zeros at the entrance (methods.md §3 e)."""
    blind, request = build_tiny_model(), tiny_request(guidance=1.0, target="a cat on the grass")
    torch.nn.init.zeros_(blind.unet.get_submodule("conv_in").weight)  # type: ignore[arg-type]
    inversion = drain(Ddim().invert(replace(request, params=DdimParams(measure=False)), blind))
    back = drain(Reprompt().edit(request, inversion, blind)).latents
    torch.testing.assert_close(back, inversion.x0, rtol=0, atol=1e-5)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_a_network_with_one_picture_in_mind_always_ends_in_it(
    eta: float, tiny_request: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However noisy the way: √ᾱ_end x̂_0, and the noise of the end level (methods.md §1 e)."""
    model, request = build_tiny_model(), tiny_request(eta=eta, guidance=1.0)
    c = torch.linspace(-1, 1, request.x0.numel()).view_as(request.x0)

    def towards(x: torch.Tensor, level: int, **_: Any) -> tuple[torch.Tensor]:
        a = model.schedule.a(level)
        return ((x - a**0.5 * c) / (1 - a) ** 0.5,)

    monkeypatch.setattr(model.unet, "forward", towards)
    seen = drain(Generate().edit(request, None, model)).latents
    a, last = model.schedule.a(0), model.grid(request).levels[-2]
    sigma = model.schedule.sigma(last, 0, eta)
    left = (seen - a**0.5 * c) / (1 - a) ** 0.5
    assert left.abs().max() < 6, "no more than noise"
    assert 0.8 < left.std() < 1.2
    assert sigma == 0 or eta > 0


def test_the_trajectory_ends_in_x0_and_starts_noisy(ddim: Inversion) -> None:
    assert ddim.trajectory is not None
    assert ddim.trajectory.shape[0] == ddim.grid.steps + 1
    assert torch.equal(ddim.at(ddim.grid.steps), ddim.x0)


def test_the_naive_inversion_has_one_noise_for_all_levels(tiny_model: Any, tiny_request: Make) -> None:
    inversion = drain(Naive().invert(tiny_request(params=NaiveParams()), tiny_model))
    noises = []
    for i, level in enumerate(inversion.grid.levels[:-1]):
        a = tiny_model.schedule.a(level)
        noises.append((inversion.at(i) - a**0.5 * inversion.x0) / (1 - a) ** 0.5)
    for eps in noises[1:]:
        torch.testing.assert_close(eps, noises[0], rtol=0, atol=1e-4)


def test_v_prediction_takes_the_same_way(tiny_request: Make) -> None:
    """A v-model whose output is v = √ᾱ ε - √(1-ᾱ) x_0 of an ε-model inverts along the same trajectory."""
    by_eps, by_v = build_tiny_model(), build_tiny_model("v_prediction")
    schedule, network = by_eps.schedule, by_v.unet.forward

    def as_v(x: torch.Tensor, level: int, **keywords: Any) -> tuple[torch.Tensor]:
        eps = network(x, level, **keywords)[0]
        a = schedule.a(level)
        return ((eps - (1 - a) ** 0.5 * x) / a**0.5,)

    by_v.unet.forward = as_v  # type: ignore[method-assign]
    request = tiny_request()
    grid = schedule.grid(6)
    ways = [drain(invert_ddim(m, request.x0, m.text("a cat"), grid)) for m in (by_eps, by_v)]
    torch.testing.assert_close(ways[0], ways[1], rtol=1e-3, atol=1e-3)


# Guidance and sampling


def test_guidance_one_is_the_conditional_model_alone(
    tiny_model: Any, tiny_request: Make, ddim: Inversion
) -> None:
    near = drain(Reprompt().edit(tiny_request(guidance=1.0 + 1e-7), ddim, tiny_model))
    before = tiny_model.counters.forward
    alone = drain(Reprompt().edit(tiny_request(guidance=1.0), ddim, tiny_model))
    assert tiny_model.counters.forward - before == ddim.grid.steps
    torch.testing.assert_close(near.latents, alone.latents, rtol=1e-3, atol=1e-3)


def test_guidance_does_not_matter_when_both_texts_agree(
    tiny_model: Any, tiny_request: Make, ddim: Inversion
) -> None:
    results = [
        drain(
            Reprompt().edit(tiny_request(target="a dog", negative="a dog", guidance=w), ddim, tiny_model)
        ).latents
        for w in (2.0, 9.0)
    ]
    assert torch.equal(results[0], results[1])


@pytest.mark.parametrize("editor", [Generate(), DdimNaive(), Blended()], ids=lambda each: each.name)
def test_candidates_are_those_of_the_following_seeds(
    editor: Any, tiny_model: Any, tiny_request: Make
) -> None:
    """Whatever is drawn, for the start or for a mask's background, candidate k draws it from seed + k."""
    mask = some_mask() if editor.name == "blended" else None
    request = tiny_request(seed=5, params=editor.params(), latent_mask=mask)
    both = drain(editor.edit(replace(request, candidates=2), None, tiny_model)).latents
    single = drain(editor.edit(replace(request, seed=6), None, tiny_model)).latents
    torch.testing.assert_close(both[1:], single, rtol=1e-3, atol=1e-3)


# Noise and denoise, blended


def test_sdedit_at_strength_zero_returns_the_picture(tiny_model: Any, tiny_request: Make) -> None:
    edit = drain(DdimNaive().edit(tiny_request(params=StrengthParams(strength=0)), None, tiny_model))
    assert torch.equal(edit.latents, tiny_request().x0)
    assert edit.notes


def test_sdedit_at_full_strength_still_sees_the_picture(tiny_model: Any, tiny_request: Make) -> None:
    request = tiny_request(params=StrengthParams(strength=1.0))
    other = replace(request, x0=request.x0 + 1)
    results = [drain(DdimNaive().edit(each, None, tiny_model)).latents for each in (request, other)]
    assert not torch.equal(results[0], results[1])


def test_an_oracle_brings_sdedit_back(tiny_model: Any, tiny_request: Make) -> None:
    """A network that answers the very noise that was drawn returns x_0 up to the end level's own noise."""
    eps = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(9))
    request = tiny_request(params=StrengthParams(strength=0.9), noise=eps, guidance=1.0)
    denoiser = tiny_model.denoiser
    tiny_model.denoiser = lambda rows, level, **_: dict.fromkeys(rows, eps)
    try:
        back = drain(DdimNaive().edit(request, None, tiny_model)).latents
    finally:
        tiny_model.denoiser = denoiser
    torch.testing.assert_close(back, tiny_model.schedule.noised(request.x0, eps, 0), rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", ["ddim", "direct", "naive"])
@pytest.mark.parametrize("method", [Reprompt(), PromptToPrompt()], ids=lambda m: m.name)
def test_a_mask_holds_every_inversion_editor_outside_it(
    method: Any, kind: str, tiny_model: Any, tiny_request: Make
) -> None:
    inverters = {
        "ddim": (Ddim(), DdimParams(measure=False)),
        "direct": (Direct(), Params()),
        "naive": (Naive(), NaiveParams()),
    }
    inverter, params = inverters[kind]
    inversion = drain(inverter.invert(tiny_request(params=params), tiny_model))
    request = tiny_request(
        latent_mask=some_mask(), params=method.params(**OPEN) if method.name == "p2p" else Params()
    )
    edit = drain(method.edit(request, inversion, tiny_model)).latents
    assert held(edit, inversion.x0)
    assert not torch.equal(edit, inversion.x0)


def test_blended_returns_x0_exactly_outside(tiny_model: Any, tiny_request: Make) -> None:
    request = tiny_request(latent_mask=some_mask(), params=BlendedParams(), candidates=2)
    edits = drain(Blended().edit(request, None, tiny_model)).latents
    assert edits.shape[0] == 2
    assert not torch.equal(edits[0], edits[1])
    assert held(edits[:1], request.x0)
    assert held(edits[1:], request.x0)


def test_blended_as_published_keeps_a_background_a_step_too_noisy(
    tiny_model: Any, tiny_request: Make
) -> None:
    """It starts from noise alone, and ends on √ᾱ x_0 + √(1-ᾱ) ε of the level before the last."""
    request = tiny_request(
        latent_mask=some_mask(), steps=2, guidance=1.0, params=BlendedParams(skip=0, widen=0, official=True)
    )
    edit = drain(Blended().edit(request, None, tiny_model)).latents
    schedule, background = tiny_model.schedule, fresh_noise(request.seed, request.x0.shape)
    grid, x = schedule.grid(2), fresh_noise(request.seed, request.x0.shape)()
    with torch.no_grad():
        for here, there in pairwise(grid.levels):
            seen = Seen(x, tiny_model.text(request.target).embeddings)
            x = schedule.move(x, tiny_model.denoiser({"c": seen}, here)["c"], here, there)
            x = torch.where(some_mask() > 0, x, schedule.noised(request.x0, background(), here))
    torch.testing.assert_close(edit, x, rtol=0, atol=1e-4)


def test_blended_with_a_full_mask_is_sdedit_from_the_same_start(tiny_model: Any, tiny_request: Make) -> None:
    everything = tiny_request(latent_mask=torch.ones(1, 1, 16, 16), params=BlendedParams(skip=0.25))
    plain = tiny_request(params=StrengthParams(strength=0.75))
    blended = drain(Blended().edit(everything, None, tiny_model)).latents
    assert torch.equal(blended, drain(DdimNaive().edit(plain, None, tiny_model)).latents)


def test_blended_with_an_empty_mask_is_the_picture(tiny_model: Any, tiny_request: Make) -> None:
    request = tiny_request(latent_mask=torch.zeros(1, 1, 16, 16), params=BlendedParams())
    assert torch.equal(drain(Blended().edit(request, None, tiny_model)).latents, request.x0)


def some_mask() -> torch.Tensor:
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 3:9, 6:12] = 1
    return mask


def held(edit: torch.Tensor, x0: torch.Tensor) -> bool:
    outside = (some_mask() == 0).expand_as(x0)
    return torch.equal(edit[outside], x0[outside])
