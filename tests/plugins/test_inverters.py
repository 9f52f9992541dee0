"""What the inverters promise on any weights, bit for bit where it says so (methods.md §3-7, 10, 15, 19)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from sfumato.diffusion.branches import inverted_branch
from sfumato.diffusion.inversion import Inversion, predictor
from sfumato.diffusion.optimise import Adam
from sfumato.diffusion.sampling import StepState, replayed, sample
from sfumato.diffusion.schedule import CLEAN
from sfumato.diffusion.solvers import solver
from sfumato.method import EditRequest
from sfumato.params import Params
from sfumato_plugins.ddim import Ddim
from sfumato_plugins.direct import Direct
from sfumato_plugins.edit_friendly import EditFriendly
from sfumato_plugins.fixed_point import FixedPoint
from sfumato_plugins.negative_prompt import NegativePrompt, slerp
from sfumato_plugins.null_text import NullText, NullTextParams
from sfumato_plugins.p2p import P2PParams, PromptToPrompt
from sfumato_plugins.reprompt import Reprompt
from sfumato_plugins.style import Style
from tests.tiny import drain
from tests.tiny import tiny_model as build_tiny_model

Make = Callable[..., EditRequest[Any]]
SAME = {"target": "a cat on the grass"}


@pytest.fixture
def ask(tiny_request: Make) -> Make:
    """A short request for the tiny model."""
    return lambda **changes: tiny_request(**{"steps": 5} | changes)


def inverted(method: Any, request: EditRequest[Any], model: Any, **values: Any) -> Inversion:
    return drain(method.invert(replace(request, params=method.params(**values)), model))


def ddim(request: EditRequest[Any], model: Any, **values: Any) -> Inversion:
    return inverted(Ddim(), request, model, **{"measure": False} | values)


def reprompted(request: EditRequest[Any], inversion: Inversion, model: Any) -> torch.Tensor:
    return drain(Reprompt().edit(replace(request, params=Params()), inversion, model)).latents


def p2p(request: EditRequest[Any], inversion: Inversion, model: Any, **values: Any) -> Any:
    params = P2PParams(**{"local": "off"} | values)
    return drain(PromptToPrompt().edit(replace(request, params=params), inversion, model))


def source_alone(model: Any, request: EditRequest[Any], inversion: Inversion) -> list[StepState]:
    """Every state of the source branch, sampled back as P2P does."""
    source = inverted_branch(model, request, inversion, "src", request.source)
    pinned = replace(source, pin=inversion.trajectory if inversion.pin else None)
    with torch.no_grad():
        return list(sample(model, [pinned], inversion.grid, noise_maps=inversion.noise))


class Cost:
    """Rows evaluated inside the block."""

    def __init__(self, model: Any) -> None:
        self._counters = model.counters

    def __enter__(self) -> Cost:
        self._before = self._counters.forward, self._counters.backward
        return self

    def __exit__(self, *_: object) -> None:
        self.forward = self._counters.forward - self._before[0]
        self.backward = self._counters.backward - self._before[1]


# Null-text


def test_without_attempts_null_text_is_reprompting_after_ddim(tiny_model: Any, ask: Make) -> None:
    inversion = inverted(NullText(), ask(), tiny_model, inner_steps=0)
    null = tiny_model.text("").embeddings
    assert inversion.context is not None
    assert torch.equal(inversion.context, null.repeat(5, 1, 1))
    plain = reprompted(ask(), ddim(ask(), tiny_model), tiny_model)
    assert torch.equal(reprompted(ask(), inversion, tiny_model), plain)


def losses(model: Any, request: EditRequest[Any], inversion: Inversion) -> list[tuple[float, float]]:
    """(before, after) of every step: with the last step's empty text, with what was found for this one."""
    schedule, grid, w = model.schedule, inversion.grid, request.guidance
    assert inversion.context is not None
    null, x, found = model.text(request.negative).embeddings, inversion.at(0), []
    text = model.text(inversion.prompt)
    for i in range(grid.steps):
        eps_c = predictor(model, text, grid)(x, i)
        moved = []
        for each in (null, inversion.context[i : i + 1]):
            eps_u = predictor(model, replace(text, embeddings=each), grid)(x, i)
            moved.append(schedule.move(x, eps_u + w * (eps_c - eps_u), grid.levels[i], grid.levels[i + 1]))
        before, after = ((m - inversion.at(i + 1)).square().mean().item() for m in moved)
        found.append((before, after))
        null, x = inversion.context[i : i + 1], moved[1]
    return found


@torch.no_grad()
def test_null_text_never_makes_a_step_worse_and_makes_some_better(tiny_model: Any, ask: Make) -> None:
    pairs = losses(tiny_model, ask(), inverted(NullText(), ask(), tiny_model))
    assert all(after <= before * (1 + 1e-5) for before, after in pairs)
    assert any(after < 0.99 * before for before, after in pairs)


def test_at_guidance_one_the_empty_prompt_has_no_say(tiny_model: Any, ask: Make) -> None:
    with Cost(tiny_model) as cost:
        inversion = inverted(NullText(), ask(guidance=1.0), tiny_model)
    assert cost.backward == 0
    assert inversion.context is not None
    assert torch.equal(inversion.context, tiny_model.text("").embeddings.repeat(5, 1, 1))
    eps = torch.randn(3, requires_grad=True)
    (slope,) = torch.autograd.grad((eps + 1.0 * (torch.ones(3) - eps)).square().sum(), eps)
    assert not slope.any()


def test_the_edit_path_brings_null_text_back_where_it_ended(tiny_model: Any, ask: Make) -> None:
    """Not bit for bit: the edit has both rows in one batch, the inversion one after the other."""
    inversion = inverted(NullText(), ask(), tiny_model)
    assert inversion.reconstruction is not None
    back = reprompted(ask(**SAME), inversion, tiny_model)
    torch.testing.assert_close(back, inversion.reconstruction, rtol=0, atol=1e-4)


def test_null_text_costs_what_it_says_and_an_edit_nothing_more(tiny_model: Any, ask: Make) -> None:
    with Cost(tiny_model) as cost:
        inversion = inverted(NullText(), ask(), tiny_model)
    assert cost.forward <= 5 + 5 * (1 + 10 + 2), "methods.md §21: 700 for 50 steps"
    assert cost.backward <= 5 * 10
    assert inversion.context is not None
    assert inversion.context.shape[0] == 5
    with Cost(tiny_model) as cost:
        reprompted(ask(), inversion, tiny_model)
    assert (cost.forward, cost.backward) == (10, 0)


def test_saving_memory_changes_nothing(tiny_model: Any, ask: Make) -> None:
    request = ask(steps=2)
    made = [inverted(NullText(), request, tiny_model, save_memory=each) for each in ("never", "always")]
    assert torch.equal(made[0].context, made[1].context)  # type: ignore[arg-type]


def test_the_last_attempt_can_be_kept_as_published(tiny_model: Any, ask: Make) -> None:
    """One plain Adam loop, written down as published: step, then look whether the loss was small enough."""
    request = ask(steps=2)
    got = inverted(NullText(), request, tiny_model, keep="last", inner_steps=3)
    grid, schedule, w = got.grid, tiny_model.schedule, request.guidance
    text, null, x = tiny_model.text(request.source), tiny_model.text("").embeddings, got.at(0)
    for i in range(2):
        null = null.clone().requires_grad_()
        adam = torch.optim.Adam([null], lr=1e-2 * (1 - i / 100))

        def moved(x: torch.Tensor = x, null: torch.Tensor = null, i: int = i) -> torch.Tensor:
            with torch.no_grad():
                eps_c = predictor(tiny_model, text, grid)(x, i)
            eps_u = predictor(tiny_model, replace(text, embeddings=null), grid)(x, i)
            return schedule.move(x, eps_u + w * (eps_c - eps_u), grid.levels[i], grid.levels[i + 1])

        clear = torch.ones_like(null, dtype=torch.bool)
        for _ in range(3):
            loss = (moved() - got.at(i + 1)).square().mean()
            adam.zero_grad()
            loss.backward()
            assert null.grad is not None
            clear &= null.grad.abs() > 0.01 * null.grad.abs().max()
            adam.step()
            if loss.item() < 1e-5 + i * 2e-5:
                break
        null = null.detach()
        assert got.context is not None
        found = got.context[i : i + 1]
        # Adam divides each slope by its own size: where that is next to nothing, rounding is a part of the
        # step (a whole one is 1e-2), which then does nothing to the latent.
        assert clear.float().mean() > 0.9
        torch.testing.assert_close(found[clear], null[clear], rtol=0, atol=1e-5)
        torch.testing.assert_close(found, null, rtol=0, atol=1e-4)
        with torch.no_grad():
            torch.testing.assert_close(moved(x, found, i), moved(x, null, i), rtol=0, atol=1e-5)
            x = moved(x, null, i)


def test_one_branch_alone_can_have_the_found_texts(tiny_model: Any, ask: Make) -> None:
    both = inverted(NullText(), ask(steps=2), tiny_model)
    single = replace(both, single_branch=True)
    request = ask(steps=2)
    source = inverted_branch(tiny_model, request, single, "src", request.source)
    target = inverted_branch(tiny_model, request, single, "tgt", request.target)
    assert both.context is not None
    assert torch.equal(source.rows[0].seen(both.x0, 1).text, both.context[1:2])
    assert torch.equal(target.rows[0].seen(both.x0, 1).text, tiny_model.text("").embeddings)


def test_a_network_in_half_precision_is_widened_for_it_and_comes_back_as_it_was(ask: Make) -> None:
    model = build_tiny_model()
    model.unet.to(torch.bfloat16)
    model.dtype = torch.bfloat16
    model.denoiser = replace(model.denoiser, dtype=torch.bfloat16)
    before = {name: weight.clone() for name, weight in model.unet.state_dict().items()}
    usual = model.denoiser
    steps = NullText().invert(ask(steps=2, params=NullTextParams(inner_steps=2)), model)
    with torch.no_grad():
        for _ in range(4):
            next(steps)
        assert next(model.unet.parameters()).dtype == torch.float32
        steps.close()
    assert model.denoiser is usual
    assert all(torch.equal(weight, before[name]) for name, weight in model.unet.state_dict().items())


def test_adam_is_torchs_own() -> None:
    x = torch.randn(4, generator=torch.Generator().manual_seed(0))
    theirs = x.clone().requires_grad_()
    adam, ours, published = Adam(1e-2), (x,), torch.optim.Adam([theirs], lr=1e-2)
    for _ in range(5):
        ours = adam.step(ours, (2 * ours[0] ** 3,))
        theirs.grad = 2 * theirs.detach() ** 3
        published.step()
    torch.testing.assert_close(ours[0], theirs.detach(), rtol=0, atol=1e-7)


# Negative-prompt, proximal guidance


def test_with_equal_prompts_npi_does_not_depend_on_guidance(tiny_model: Any, ask: Make) -> None:
    inversion = inverted(NegativePrompt(), ask(), tiny_model, measure=False)
    weak, strong = (reprompted(ask(guidance=w, **SAME), inversion, tiny_model) for w in (2.0, 9.0))
    assert torch.equal(weak, strong)
    by_ddim = reprompted(
        ask(guidance=2.0, negative=ask().source, **SAME), ddim(ask(), tiny_model), tiny_model
    )
    assert torch.equal(weak, by_ddim), "DDIM's own reconstruction in the same layout"


def test_npi_is_the_source_prompt_as_negative_prompt(tiny_model: Any, ask: Make) -> None:
    inversion = inverted(NegativePrompt(), ask(), tiny_model, measure=False)
    by_hand = reprompted(ask(negative=ask().source), ddim(ask(), tiny_model), tiny_model)
    assert torch.equal(reprompted(ask(), inversion, tiny_model), by_hand)


def test_mixing_in_the_empty_prompt_ends_in_plain_reprompting(tiny_model: Any, ask: Make) -> None:
    ends = [
        inverted(NegativePrompt(), ask(), tiny_model, towards_empty=share, measure=False)
        for share in (0.5, 1.0)
    ]
    source, empty = (tiny_model.text(prompt).embeddings for prompt in (ask().source, ""))
    assert ends[0].context is not None
    assert ends[1].context is not None
    torch.testing.assert_close(ends[1].context[:1], empty, rtol=0, atol=1e-5)
    mixed = ends[0].context[:1].flatten()
    cosines = [torch.cosine_similarity(mixed, each.flatten(), dim=0) for each in (source, empty)]
    assert abs(cosines[0] - cosines[1]) < 0.05


def test_an_empty_prompt_of_zeros_can_be_mixed_in() -> None:
    """SDXL's: there is no angle to it, so the way is straight."""
    start = torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(slerp(start, torch.zeros_like(start), 0.5), start / 2)


def test_proximal_guidance_that_holds_all_back_is_a_reconstruction(tiny_model: Any, ask: Make) -> None:
    values = {"measure": False, "until": 0}
    plain = inverted(NegativePrompt(), ask(), tiny_model, **values)
    held = inverted(NegativePrompt(), ask(), tiny_model, proximal="l0", quantile=1.0, **values)
    back = reprompted(ask(**SAME), plain, tiny_model)
    torch.testing.assert_close(reprompted(ask(), held, tiny_model), back, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(reprompted(ask(), plain, tiny_model), back, rtol=1e-2, atol=1e-2)


def test_proximal_guidance_that_holds_nothing_back_is_plain_npi(tiny_model: Any, ask: Make) -> None:
    """But for the one element at the very threshold, in the first step."""
    held = inverted(NegativePrompt(), ask(), tiny_model, proximal="l0", quantile=0.0, until=0, measure=False)
    request = ask()
    branches = [
        inverted_branch(tiny_model, request, each, "tgt", request.target)
        for each in (held, replace(held, proximal=None))
    ]
    with torch.no_grad():
        first, second = (
            next(iter(sample(tiny_model, [each], held.grid))).latents["tgt"] for each in branches
        )
    assert int((first != second).sum()) <= 1


def test_what_is_held_back_is_drawn_to_the_inversion(tiny_model: Any, ask: Make) -> None:
    held = inverted(NegativePrompt(), ask(), tiny_model, proximal="l0", quantile=1.0, until=1000)
    assert torch.equal(reprompted(ask(), held, tiny_model), held.x0)
    assert torch.equal(held.reconstruction, held.x0)  # type: ignore[arg-type]
    picture = replace(held, proximal=replace(held.proximal, towards="picture"))  # type: ignore[type-var]
    towards = reprompted(ask(), picture, tiny_model)
    a = tiny_model.schedule.a(held.grid.levels[-1])
    assert (towards - a**0.5 * held.x0).abs().max() < 10 * (1 - a) ** 0.5, "x_0 and the end level's noise"


def test_proximal_guidance_works_with_the_rows_of_prompt_to_prompt(tiny_model: Any, ask: Make) -> None:
    held = inverted(NegativePrompt(), ask(), tiny_model, proximal="l1", measure=False)
    plain = replace(held, proximal=None)
    assert not torch.equal(p2p(ask(), held, tiny_model).latents, p2p(ask(), plain, tiny_model).latents)
    assert p2p(ask(guidance=1.0), held, tiny_model).latents.isfinite().all()


# Edit-friendly


@pytest.mark.parametrize("skip", [0.0, 0.4, 0.9])
@pytest.mark.parametrize("w", [1.0, 3.5])
def test_edit_friendly_brings_the_picture_back_on_any_weights(
    skip: float, w: float, tiny_model: Any, ask: Make
) -> None:
    inversion = inverted(EditFriendly(), ask(), tiny_model, w_src=w)
    back = reprompted(ask(guidance=w, start=skip, **SAME), inversion, tiny_model)
    torch.testing.assert_close(back, ask().x0, rtol=0, atol=1e-6)


@pytest.mark.parametrize("eta", [0.5, 1.0])
@pytest.mark.parametrize("linear", [False, True])
def test_an_edit_runs_at_the_eta_the_noise_was_made_for(
    eta: float, linear: bool, tiny_model: Any, ask: Make
) -> None:
    inversion = inverted(EditFriendly(), ask(), tiny_model, eta=eta, linear=linear)
    for own in (0.0, 0.3):
        back = reprompted(ask(guidance=1.0, eta=own, **SAME), inversion, tiny_model)
        torch.testing.assert_close(back, ask().x0, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["euler_a", "dpmpp_sde"])
@pytest.mark.parametrize("skip", [0.0, 0.4])
def test_other_solvers_can_be_inverted_too(name: Any, skip: float, tiny_model: Any, ask: Make) -> None:
    """Also where an edit starts later than a solver that looks back would need to."""
    inversion = inverted(EditFriendly(), ask(solver=name), tiny_model)
    back = reprompted(ask(guidance=1.0, start=skip, **SAME), inversion, tiny_model)
    torch.testing.assert_close(back, ask().x0, rtol=0, atol=1e-6)


def test_the_published_code_drops_the_last_noise_and_loses_that_much(tiny_model: Any, ask: Make) -> None:
    whole = inverted(EditFriendly(), ask(), tiny_model)
    inversion = inverted(EditFriendly(), ask(), tiny_model, drop_last=True)
    back = reprompted(ask(guidance=1.0, **SAME), inversion, tiny_model)
    assert whole.noise is not None
    here, there = inversion.grid.levels[-2:]
    lost = tiny_model.schedule.sigma(here, there, 1.0) * whole.noise[-1:]
    assert lost.abs().max() > 1e-2
    torch.testing.assert_close(ask().x0 - back, lost, rtol=0, atol=1e-5)
    assert torch.equal(back, inversion.reconstruction)  # type: ignore[arg-type]
    source = p2p(ask(guidance=1.0), inversion, tiny_model).source
    assert torch.equal(source, inversion.reconstruction)


@pytest.mark.parametrize("offset", [0, 1])
def test_p2ps_source_row_is_the_picture(offset: Any, tiny_model: Any, ask: Make) -> None:
    request = ask(timestep_offset=offset)
    inversion = inverted(EditFriendly(), request, tiny_model, w_src=3.5)
    edit = p2p(replace(request, start=0.2, guidance=7.0), inversion, tiny_model)
    assert torch.equal(edit.source, request.x0)
    assert not torch.equal(edit.latents, request.x0)


def test_with_the_idle_step_of_the_published_code_the_picture_still_comes_back(
    tiny_model: Any, ask: Make
) -> None:
    request = ask(timestep_offset=0)
    inversion = inverted(EditFriendly(), request, tiny_model)
    back = reprompted(replace(request, guidance=1.0, **SAME), inversion, tiny_model)
    torch.testing.assert_close(back, request.x0, rtol=0, atol=1e-6)


def test_on_a_grid_that_ends_clean_the_source_row_is_assigned(
    tiny_model: Any, ask: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = tiny_model.schedule.grid(5, end=CLEAN)
    monkeypatch.setattr(tiny_model, "grid", lambda _: grid)
    inversion = inverted(EditFriendly(), ask(), tiny_model)
    assert inversion.noise is not None
    assert not inversion.noise[-1].any()
    assert torch.equal(p2p(ask(), inversion, tiny_model).source, ask().x0)


def test_an_unpinned_source_comes_back_at_its_own_guidance(tiny_model: Any, ask: Make) -> None:
    """Somebody else's inverter may keep noise maps without pinning."""
    inversion = replace(inverted(EditFriendly(), ask(), tiny_model, w_src=3.5), pin=False)
    last = source_alone(tiny_model, ask(guidance=9.0), inversion)[-1]
    torch.testing.assert_close(last.latents["src"], ask().x0, rtol=0, atol=1e-6)


def test_the_noisy_latents_do_not_depend_on_the_network(tiny_model: Any, ask: Make) -> None:
    ways = [
        inverted(EditFriendly(), ask(source=source), tiny_model).trajectory
        for source in ("a cat", "a red car")
    ]
    assert ways[0] is not None
    torch.testing.assert_close(ways[0], ways[1], rtol=0, atol=1e-5)
    marginals = (ways[0][1] - ways[0][2]).std(), (ways[0][0] - ways[0][1]).std()
    assert min(marginals) > 0.5, "each level has noise of its own"


def test_the_noise_found_is_strong_and_each_follows_against_the_last(tiny_model: Any, ask: Make) -> None:
    noise = inverted(EditFriendly(), ask(steps=20), tiny_model).noise
    assert noise is not None
    assert noise.std() > 1
    pairs = torch.stack([noise[:-1].flatten(), noise[1:].flatten()])
    assert torch.corrcoef(pairs)[0, 1] < 0


def test_noise_can_be_passed_in_and_the_seed_decides_otherwise(tiny_model: Any, ask: Make) -> None:
    noises = torch.randn(5, 4, 16, 16, generator=torch.Generator().manual_seed(8))
    inversion = inverted(EditFriendly(), ask(noise=noises), tiny_model)
    top = tiny_model.schedule.noised(ask().x0, noises[:1], inversion.grid.levels[0])
    assert torch.equal(inversion.at(0), top)
    one, two, again = (inverted(EditFriendly(), ask(seed=s), tiny_model).noise for s in (1, 2, 1))
    assert torch.equal(one, again)  # type: ignore[arg-type]
    assert not torch.equal(one, two)  # type: ignore[arg-type]


def test_two_targets_in_one_batch_do_not_meddle(tiny_model: Any, ask: Make) -> None:
    request = ask()
    inversion = inverted(EditFriendly(), request, tiny_model)

    def together(*prompts: str) -> torch.Tensor:
        rows = [
            inverted_branch(tiny_model, request, inversion, f"tgt{k}", prompt)
            for k, prompt in enumerate(prompts)
        ]
        with torch.no_grad():
            *_, last = sample(tiny_model, rows, inversion.grid, noise_maps=inversion.noise)
        return last.latents["tgt0"]

    assert torch.equal(together("a dog", "a red car"), together("a dog", "snow"))


def test_edit_friendly_costs(tiny_model: Any, ask: Make) -> None:
    """S rows at guidance 1 or without words, 2S otherwise; an edit 2(S - skip), with P2P 3 instead of 4."""
    for values, source, rows in (({}, "a cat", 5), ({"w_src": 3.5}, "a cat", 10), ({"w_src": 3.5}, "", 5)):
        with Cost(tiny_model) as cost:
            inversion = inverted(EditFriendly(), ask(source=source), tiny_model, **values)
        assert cost.forward == rows
    with Cost(tiny_model) as cost:
        reprompted(ask(start=0.4), inversion, tiny_model)
    assert cost.forward == 2 * 3
    with Cost(tiny_model) as cost:
        p2p(ask(start=0.4), inversion, tiny_model)
    assert cost.forward <= 3 * 3


@pytest.mark.filterwarnings("ignore")
def test_diffusers_scheduler_replays_our_noise(tiny_model: Any, ask: Make) -> None:
    from diffusers import DDIMScheduler

    from tests.tiny import SCHEDULER

    inversion = inverted(EditFriendly(), ask(), tiny_model)
    reference = DDIMScheduler(**SCHEDULER, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    reference.set_timesteps(5)
    predict = predictor(tiny_model, tiny_model.text(ask().source), inversion.grid)
    x = inversion.at(0)
    assert inversion.noise is not None
    with torch.no_grad():
        for i, t in enumerate(reference.timesteps):
            z = inversion.noise[i : i + 1]
            x = reference.step(predict(x, i), int(t), x, eta=1.0, variance_noise=z).prev_sample
    torch.testing.assert_close(x, ask().x0, rtol=0, atol=1e-3)


# Prompt-to-Prompt's windows when an edit starts later


def test_windows_can_be_counted_from_where_the_edit_starts_or_from_the_top(
    tiny_model: Any, ask: Make
) -> None:
    inversion = inverted(EditFriendly(), ask(steps=10), tiny_model)
    rows = []
    for origin in ("first step that runs", "noisiest step"):
        with Cost(tiny_model) as cost:
            values = {"cross_steps": 0.5, "self_steps": 0.0, "count_from": origin}
            p2p(ask(steps=10, start=0.3), inversion, tiny_model, **values)
        rows.append(cost.forward - 7 * 2)
    assert rows == [5, 2], "steps 3 to 7, and steps 3 and 4"


def test_the_half_without_words_can_keep_its_shapes_too(tiny_model: Any, ask: Make) -> None:
    inversion = ddim(ask(), tiny_model)
    plain, closed, held = (
        p2p(ask(), inversion, tiny_model, **values).latents
        for values in ({}, {"self_uncond": 0.0}, {"self_uncond": 0.6})
    )
    assert torch.equal(plain, closed)
    assert not torch.equal(plain, held)


# StyleDiffusion, light


def test_style_without_attempts_is_plain_p2p(tiny_model: Any, ask: Make) -> None:
    inversion = inverted(Style(), ask(), tiny_model, inner_steps=0)
    plain = ddim(ask(), tiny_model)
    ours, theirs = (p2p(ask(), each, tiny_model) for each in (inversion, plain))
    assert torch.equal(ours.latents, theirs.latents)
    assert torch.equal(ours.source, theirs.source)


def test_style_comes_closer_to_the_picture_and_leaves_keys_alone(tiny_model: Any, ask: Make) -> None:
    loose, close = (inverted(Style(), ask(), tiny_model, inner_steps=n) for n in (0, 10))
    errors = [(each.reconstruction - each.x0).square().mean() for each in (loose, close)]
    assert errors[1] < errors[0]
    assert close.value_scale is not None
    assert close.value_shift is not None
    for name, prompt in (("src", ask().source), ("tgt", ask().target)):
        seen = inverted_branch(tiny_model, ask(), close, name, prompt).rows[-1].seen(close.x0, 1)
        c = tiny_model.text(prompt).embeddings
        assert torch.equal(seen.text, c)
        styled = close.value_scale[1:2] * c + close.value_shift[1:2]
        assert seen.value_text is not None
        assert torch.equal(seen.value_text, styled)


def test_the_source_keeps_its_values_to_the_end_and_an_edit_as_long_as_it_is_told(
    tiny_model: Any, ask: Make
) -> None:
    inversion = inverted(Style(), ask(), tiny_model, inner_steps=2, value_steps=0.4)
    request = ask()
    kept = {
        name: [
            inverted_branch(tiny_model, request, inversion, name, "a dog").rows[-1].seen(inversion.x0, i)
            for i in range(5)
        ]
        for name in ("src", "tgt")
    }
    assert [seen.value_text is not None for seen in kept["src"]] == [True] * 5
    assert [seen.value_text is not None for seen in kept["tgt"]] == [True, True, False, False, False]
    never = replace(inversion, value_share=0.0)
    plain = replace(inversion, value_scale=None, value_shift=None)
    assert torch.equal(reprompted(ask(), never, tiny_model), reprompted(ask(), plain, tiny_model))


def test_values_alone_do_not_move_where_the_first_site_looks(tiny_model: Any, ask: Make) -> None:
    from sfumato.diffusion.attention import Hook, Plan

    request, seen = ask(), {}
    first = next(site for site in tiny_model.sites if site.kind == "cross")
    text = tiny_model.text(request.source).embeddings
    for name, values in (("as it is", text), ("other", text + 0.5)):

        def look(A: Any, site: Any, _: int, name: str = name) -> dict[str, Any]:
            seen[name, site] = A["src.c"]
            return {}

        branch = inverted_branch(tiny_model, request, ddim(request, tiny_model), "src", request.source)
        row = branch.rows[-1].seen(branch.latent, 0)._replace(value_text=values)
        sites = frozenset(site for site in tiny_model.sites if site.kind == "cross")
        with torch.no_grad():
            plan = Plan((Hook(sites, range(1), ("src.c",), look),))
            tiny_model.denoiser({"src.c": row}, 500, plan=plan)
    assert torch.equal(seen["as it is", first], seen["other", first])
    assert any(
        not torch.equal(seen["as it is", s], seen["other", s]) for s in tiny_model.sites if s.kind == "cross"
    )


def test_style_costs_what_it_says(tiny_model: Any, ask: Make) -> None:
    """50 + 50 * 3 + 1071 rows at the published 100 attempts and 50 steps; here 10 attempts and 5 steps."""
    with Cost(tiny_model) as cost:
        inverted(Style(), ask(), tiny_model, inner_steps=10)
    attempts = 10 + 10 + 9 + 8 + 7
    assert cost.forward <= 5 + 5 * 3 + attempts
    assert cost.backward <= attempts


# Fixed point, DDIM's and direct inversion's ablations


def test_no_iteration_is_ddim_inversion(tiny_model: Any, ask: Make) -> None:
    with Cost(tiny_model) as cost:
        fixed = inverted(FixedPoint(), ask(), tiny_model, iterations=0, measure=False)
    assert cost.forward == 5
    assert torch.equal(fixed.trajectory, ddim(ask(), tiny_model).trajectory)  # type: ignore[arg-type]
    with Cost(tiny_model) as cost:
        inverted(FixedPoint(), ask(), tiny_model, iterations=3, measure=False)
    assert cost.forward == 5 * 4


def test_on_a_gentle_network_iterations_lead_back_to_the_picture(
    tiny_model: Any, ask: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ε = 0.5 tanh(x): there each step has one fixed point, and it is found."""
    gentle = lambda rows, level, **_: {name: 0.5 * torch.tanh(seen.latent) for name, seen in rows.items()}  # noqa: E731
    monkeypatch.setattr(tiny_model, "denoiser", gentle)
    errors = []
    for n in (0, 2, 8):
        made = inverted(FixedPoint(), ask(), tiny_model, iterations=n, average=1)
        errors.append(float((made.reconstruction - made.x0).abs().max()))
    assert errors[0] > 5 * errors[1] > 25 * errors[2]


def test_regularised_noise_is_nearer_to_noise(tiny_model: Any, ask: Make) -> None:
    plain, regular = (
        inverted(FixedPoint(), ask(), tiny_model, measure=False, **values)
        for values in ({}, {"divergence": 0.065, "autocorrelation": 20.0})
    )
    assert not torch.equal(plain.trajectory, regular.trajectory)  # type: ignore[arg-type]
    assert regular.trajectory is not None
    assert regular.trajectory.isfinite().all()


def test_guided_ddim_inversion(tiny_model: Any, ask: Make) -> None:
    costs = []
    for w in (0.0, 1.0, 2.5):
        with Cost(tiny_model) as cost:
            made = ddim(ask(), tiny_model, w_inv=w)
        costs.append(cost.forward)
        assert made.guidance == w
    assert costs == [5, 5, 10]
    unconditional = ddim(ask(source=""), tiny_model)
    assert torch.equal(ddim(ask(), tiny_model, w_inv=0.0).trajectory, unconditional.trajectory)  # type: ignore[arg-type]


def test_taking_all_drift_back_is_direct_inversion_and_none_is_ddim(tiny_model: Any, ask: Make) -> None:
    whole, none = (ddim(ask(), tiny_model, correction=share) for share in (1.0, 0.0))
    direct = drain(Direct().invert(ask(), tiny_model))
    for ours, other in ((whole, direct), (none, ddim(ask(), tiny_model))):
        mine, theirs = (p2p(ask(), each, tiny_model) for each in (ours, other))
        assert torch.equal(mine.latents, theirs.latents)
        assert torch.equal(mine.source, theirs.source)


def test_drift_can_be_taken_back_in_part_or_now_and_then(tiny_model: Any, ask: Make) -> None:
    states = source_alone(tiny_model, ask(), ddim(ask(), tiny_model, correction=1.0, correct_every=2))
    inversion = ddim(ask(), tiny_model)
    on = [torch.equal(state.latents["src"], inversion.at(state.i + 1)) for state in states]
    assert on == [True, False, True, False, True]
    first, free = (
        source_alone(tiny_model, ask(), each)[0].latents["src"]
        for each in (ddim(ask(), tiny_model, correction=0.4), inversion)
    )
    torch.testing.assert_close(first, torch.lerp(free, inversion.at(1), 0.4), rtol=0, atol=1e-5)


# All of them


@pytest.mark.parametrize(
    ("method", "values"),
    [
        (Ddim(), {"correction": 0.4, "correct_every": 2, "w_inv": 2.5}),
        (NegativePrompt(), {"proximal": "l1", "quantile": 0.6}),
        (EditFriendly(), {"eta": 0.7, "linear": True, "w_src": 2.0}),
        (NullText(), {"single_branch": True, "inner_steps": 1}),
        (Style(), {"value_steps": 0.3, "inner_steps": 1}),
        (FixedPoint(), {"iterations": 1}),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
def test_what_is_stored_is_all_there_is(
    method: Any, values: dict[str, Any], tiny_model: Any, ask: Make
) -> None:
    made = inverted(method, ask(steps=3), tiny_model, **values)
    again = Inversion.from_tensors(*made.to_tensors())
    for name in ("grid", "pin", "pull", "single_branch", "value_share", "guidance", "proximal", "prompt"):
        assert getattr(again, name) == getattr(made, name), name
    request = ask(steps=3)
    assert torch.equal(p2p(request, made, tiny_model).latents, p2p(request, again, tiny_model).latents)


def test_measuring_a_pinned_inversion_costs_nothing(tiny_model: Any, ask: Make) -> None:
    direct = drain(Direct().invert(ask(), tiny_model))
    with Cost(tiny_model) as cost:
        back = drain(replayed(tiny_model, ask(), direct))
    assert cost.forward == 0
    assert torch.equal(back, direct.x0)


def test_a_solvers_parts_are_its_step(tiny_model: Any) -> None:
    grid = tiny_model.schedule.grid(5)
    x, eps, z = (torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(k)) for k in range(3))
    for name in ("ddim", "euler_a", "dpmpp_sde", "lcm"):
        mean, sigma = solver(name, tiny_model.schedule, grid, 0.6).parts(x, eps, 1)
        step = solver(name, tiny_model.schedule, grid, 0.6).step(x, eps, 1, lambda: z)
        assert torch.equal(step, mean + sigma * z)
