"""Editors that combine rows: what must hold on any weights (methods.md §§13, 14, 19)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn.functional import l1_loss

from sfumato.diffusion.denoiser import Seen
from sfumato.diffusion.instructions import Instruction, follow
from sfumato.diffusion.inversion import Inversion
from sfumato.diffusion.solvers import solver
from sfumato.errors import InputError, MethodError
from sfumato.method import EditRequest
from sfumato_plugins import instruct_diffusion, instruct_pix2pix
from sfumato_plugins.ddim import Ddim, DdimParams
from sfumato_plugins.direct import Direct
from sfumato_plugins.edit_friendly import EditFriendly
from sfumato_plugins.h_edit import HEdit, HEditParams
from sfumato_plugins.instruct_diffusion import InstructDiffusion, InstructDiffusionParams
from sfumato_plugins.instruct_pix2pix import InstructPix2Pix, InstructPix2PixParams
from sfumato_plugins.ledits import Ledits, LeditsParams
from tests.tiny import drain
from tests.tiny import tiny_model as build_tiny_model

Make = Callable[..., EditRequest[Any]]
ONE = 1e-5


# Instructions


@pytest.fixture
def told(tiny_request: Make) -> Make:
    """Make a request with an instruction; keywords override."""
    return lambda **changes: tiny_request(
        **{"instruction": "big red dog", "params": InstructPix2PixParams(), "steps": 4} | changes
    )


def pix2pix(request: EditRequest[Any], model: Any, s_I: float = 1.5, **params: Any) -> torch.Tensor:
    params = {"picture_guidance": s_I} | params
    request = replace(request, params=InstructPix2PixParams(**params))
    return drain(InstructPix2Pix().edit(request, None, model)).latents


def diffusion(request: EditRequest[Any], model: Any, s_I: float) -> torch.Tensor:
    request = replace(request, params=InstructDiffusionParams(picture_guidance=s_I))
    return drain(InstructDiffusion().edit(request, None, model)).latents


def under(formula: Any, request: EditRequest[Any], model: Any, blind: str = "") -> torch.Tensor:
    """The same rows in the same batch under a formula of the test's own."""
    text, empty = model.text(request.instruction), model.text("")
    instruction = Instruction(model.image_channels(request.image), text, empty, text if blind else empty)
    return drain(follow(model, request, instruction, formula))


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float = ONE) -> None:
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * max(1.0, float(b.abs().max())))


def test_pix2pix_at_one_and_one_is_the_row_that_sees_both(told: Make, tiny_instruct_model: Any) -> None:
    request = told(guidance=1.0, steps=1)
    alone = under(lambda both, seen, blind: both, request, tiny_instruct_model)
    close(pix2pix(request, tiny_instruct_model, 1.0), alone)


def test_pix2pix_at_nought_is_the_blind_row(told: Make, tiny_instruct_model: Any) -> None:
    request = told(guidance=0.0)
    alone = under(lambda both, seen, blind: blind, request, tiny_instruct_model)
    assert torch.equal(pix2pix(request, tiny_instruct_model, 0.0), alone)


def test_without_text_guidance_no_instruction_matters(told: Make, tiny_instruct_model: Any) -> None:
    results = [
        pix2pix(told(guidance=0.0, instruction=words), tiny_instruct_model)
        for words in ("big red dog", "a green car")
    ]
    assert torch.equal(*results)
    guided = pix2pix(told(guidance=3.0, instruction="a green car"), tiny_instruct_model)
    assert not torch.equal(guided, results[0])


def test_without_any_guidance_no_picture_matters(told: Make, tiny_instruct_model: Any) -> None:
    requests = [told(guidance=0.0), told(guidance=0.0, image=-told().image)]
    assert torch.equal(*(pix2pix(each, tiny_instruct_model, 0.0) for each in requests))
    assert not torch.equal(*(pix2pix(each, tiny_instruct_model, 1.0) for each in requests))


def test_one_step_is_linear_in_both_guidances(told: Make, tiny_instruct_model: Any) -> None:
    def at(s_T: float, s_I: float) -> torch.Tensor:
        return pix2pix(told(guidance=s_T, steps=1), tiny_instruct_model, s_I)

    nought = at(0, 0)
    close(at(2, 3) - nought, 2 * (at(1, 0) - nought) + 3 * (at(0, 1) - nought), 1e-4)


@pytest.mark.parametrize("editor", [InstructPix2Pix(), InstructDiffusion()], ids=lambda each: each.name)
def test_a_network_deaf_to_the_picture_does_not_depend_on_it(editor: Any, told: Make) -> None:
    model = build_tiny_model(instructions=True)
    requests = [told(params=editor.params()), told(params=editor.params(), image=-told().image)]
    before = [drain(editor.edit(each, None, model)).latents for each in requests]
    assert not torch.equal(*before)
    model.unet.conv_in.weight[:, 4:] = 0
    assert torch.equal(*(drain(editor.edit(each, None, model)).latents for each in requests))


def test_instruct_diffusion_at_a_half_is_the_row_that_sees_both(told: Make, tiny_instruct_model: Any) -> None:
    request = told(guidance=0.5, steps=1)
    alone = under(lambda both, seen, blind: both, request, tiny_instruct_model, blind="T")
    close(diffusion(request, tiny_instruct_model, 0.5), alone)


def test_instruct_diffusion_at_nought_is_the_mean_of_what_each_row_misses(
    told: Make, tiny_instruct_model: Any
) -> None:
    request = told(guidance=0.0)
    mean = under(lambda both, seen, blind: 0.5 * (seen + blind), request, tiny_instruct_model, blind="T")
    close(diffusion(request, tiny_instruct_model, 0.0), mean, 1e-4)


@pytest.mark.parametrize(
    ("task", "words", "restores"),
    [
        ("noise", "the picture", True),
        ("blur", "the dog", True),
        ("watermark", "the dog", True),
        ("as written", "Remove the noise from it", True),
        ("as written", "make the dog red", False),
        ("circle", "the dog", False),
    ],
)
def test_what_restores_leaves_no_detail_to_come_back(
    task: Any, words: str, restores: bool, told: Make, tiny_instruct_model: Any
) -> None:
    request = told(params=InstructDiffusionParams(task=task), instruction=words, steps=1)
    edit = drain(InstructDiffusion().edit(request, None, tiny_instruct_model))
    assert edit.keeps_detail is not restores
    assert any("fine detail" in note for note in edit.notes) is restores


@pytest.mark.parametrize("editor", [InstructPix2Pix(), InstructDiffusion()], ids=lambda each: each.name)
def test_an_instruction_costs_three_rows_a_step(editor: Any, told: Make, tiny_instruct_model: Any) -> None:
    before = tiny_instruct_model.counters.forward
    drain(editor.edit(told(params=editor.params(), steps=5), None, tiny_instruct_model))
    assert tiny_instruct_model.counters.forward - before == 15


@pytest.mark.parametrize("params", [{}, {"clean_end": True}, {"timesteps": "linspace"}])
def test_a_mask_holds_what_is_outside_it(params: Any, told: Make, tiny_instruct_model: Any) -> None:
    request = told(latent_mask=some_mask(), candidates=2)
    for each in pix2pix(request, tiny_instruct_model, **params).split(1):
        assert held(each, request.x0)
        assert not torch.equal(each, request.x0)


def test_skipping_steps_starts_from_the_picture(told: Make, tiny_instruct_model: Any) -> None:
    """Even where neither the words nor the further channels count."""
    blank = told(guidance=0.0)
    others = [blank, replace(blank, x0=blank.x0 + 1)]
    assert torch.equal(*(pix2pix(each, tiny_instruct_model, 0.0) for each in others))
    later = [replace(each, start=0.5) for each in others]
    assert not torch.equal(*(pix2pix(each, tiny_instruct_model, 0.0) for each in later))


def test_a_task_is_put_into_words(told: Make, tiny_instruct_model: Any) -> None:
    params = InstructDiffusionParams(task="mark the pixels of", colour="red")
    request = told(instruction="the dog", params=params)
    edit = drain(InstructDiffusion().edit(request, None, tiny_instruct_model))
    sentence = "mark the pixels of the dog to red and leave the rest unchanged"
    assert sentence in edit.notes[0]
    written = replace(request, instruction=sentence, params=InstructDiffusionParams())
    assert torch.equal(
        edit.latents, drain(InstructDiffusion().edit(written, None, tiny_instruct_model)).latents
    )


def test_both_formulas_are_those_of_the_papers() -> None:
    both, seen, blind = (torch.tensor(value) for value in (2.0, 3.0, 5.0))
    assert instruct_pix2pix.formula(7.0, 0.5)(both, seen, blind) == 5 + 0.5 * (3 - 5) + 7 * (2 - 3)
    assert instruct_diffusion.formula(7.0, 0.5)(both, seen, blind) == 4 + 7 * (2 - 3) + 0.5 * (2 - 5)


# Noise maps, made here by the definition (methods.md §10)


def noise_maps(
    request: EditRequest[Any], model: Any, *, prompt: str, w: float = 1.0, rows: int = 1
) -> Inversion:
    """Edit-friendly noise maps of the request's solver and η, from a batch of that many equal rows."""
    schedule, grid = model.schedule, model.schedule.grid(request.steps)
    generator = torch.Generator().manual_seed(11)
    path = [
        schedule.noised(request.x0, torch.randn(request.latent_shape, generator=generator), level)
        for level in grid.levels[:-1]
    ]
    path.append(request.x0)
    stepper, z = solver(request.solver, schedule, grid, request.eta), []
    texts = {f"{k}": model.text(prompt) for k in range(rows)}
    if w != 1:
        texts = {"u": model.text(""), "c": model.text(prompt)}
    with torch.no_grad():
        for i in range(grid.steps):
            seen = {name: Seen(path[i], text.embeddings) for name, text in texts.items()}
            answer = model.denoiser(seen, grid.levels[i], step=i)
            eps = answer["u"] + w * (answer["c"] - answer["u"]) if w != 1 else answer["0"]
            zero, one = torch.zeros_like(eps), torch.ones_like(eps)
            unit = deepcopy(stepper).step(zero, zero, i, lambda one=one: one)
            mean = deepcopy(stepper).step(path[i], eps, i, lambda zero=zero: zero)
            sigma = (unit - deepcopy(stepper).step(zero, zero, i, lambda zero=zero: zero)).mean()
            z.append((path[i + 1] - mean) / sigma)
            path[i + 1] = stepper.step(path[i], eps, i, lambda each=z[-1]: each)
    return Inversion(
        x0=request.x0, grid=grid, prompt=prompt, trajectory=torch.cat(path), noise=torch.cat(z), guidance=w
    )


def on_trajectory(request: EditRequest[Any], model: Any, *, pin: bool = True) -> Inversion:
    inverter = Direct() if pin else Ddim()
    plain = replace(request, params=inverter.params() if pin else DdimParams(measure=False))
    return drain(inverter.invert(plain, model))


# h-Edit


CLOSED = {"cross_steps": 0.0, "self_steps": 0.0}
UNEQUAL = {"away": 0.8}


def h_edit(request: EditRequest[Any], inversion: Inversion, model: Any, **params: Any) -> torch.Tensor:
    return drain(HEdit().edit(replace(request, params=HEditParams(**params)), inversion, model)).latents


@pytest.mark.parametrize("form", ["explicit", "implicit"])
def test_h_edit_of_equal_prompts_and_guidances_is_the_picture(
    form: str, tiny_model: Any, tiny_request: Make
) -> None:
    same = tiny_request(target="a cat on the grass", guidance=5.0, eta=1.0)
    maps = noise_maps(same, tiny_model, prompt=same.source, rows=2 if form == "explicit" else 1)
    close(h_edit(same, maps, tiny_model, form=form, **CLOSED), same.x0)


@pytest.mark.parametrize("pin", [True, False])
@pytest.mark.parametrize("params", [{"form": "explicit"}, {"form": "implicit", "iterations": 2}, CLOSED])
def test_h_edit_brings_any_trajectory_back(
    pin: bool, params: Any, tiny_model: Any, tiny_request: Make
) -> None:
    """Also with Prompt-to-Prompt's windows open: equal prompts look at equal places."""
    same = tiny_request(target="a cat on the grass", guidance=5.0)
    close(h_edit(same, on_trajectory(same, tiny_model, pin=pin), tiny_model, **params), same.x0, 1e-4)


@pytest.mark.parametrize("form", ["explicit", "implicit"])
def test_fresh_noise_in_every_step_leaves_h_edit_its_picture(
    form: str, tiny_model: Any, tiny_request: Make
) -> None:
    """The source and the edit draw the same noise."""
    same = tiny_request(target="a cat on the grass", guidance=5.0, eta=0.7)
    close(h_edit(same, on_trajectory(same, tiny_model), tiny_model, form=form), same.x0)


def test_h_edit_of_equal_prompts_moves_with_unequal_guidances(tiny_model: Any, tiny_request: Make) -> None:
    same = tiny_request(target="a cat on the grass", guidance=5.0)
    inversion = on_trajectory(same, tiny_model)
    moved = h_edit(same, inversion, tiny_model, away=0.4)
    assert not torch.allclose(moved, same.x0, atol=1e-2)


def differences(
    request: EditRequest[Any], model: Any, x: torch.Tensor, level: int
) -> Mapping[str, torch.Tensor]:
    texts = {"u": "", "s": request.source, "c": request.target}
    return model.denoiser({name: Seen(x, model.text(text).embeddings) for name, text in texts.items()}, level)


def test_explicit_h_edit_is_its_equation(tiny_model: Any, tiny_request: Make) -> None:
    """x_{t-1} = x^base + κ (ε_tgt^w - ε_src^ŵ), both at x_t, in a run of one step."""
    request = tiny_request(guidance=7.5, steps=1, eta=1.0)
    maps = noise_maps(request, tiny_model, prompt=request.source)
    got = h_edit(request, maps, tiny_model, form="explicit", away=4.0 / 7.5, **CLOSED)
    level, schedule = maps.grid.levels[0], tiny_model.schedule
    with torch.no_grad():
        eps = differences(request, tiny_model, maps.at(0), int(level))
    f = 7.5 * (eps["c"] - eps["u"]) - 4.0 * (eps["s"] - eps["u"])
    a, b = schedule.a(level), schedule.a(0)
    kappa = (1 - b - schedule.sigma(level, 0, 1.0) ** 2) ** 0.5 - (b * (1 - a) / a) ** 0.5
    close(got, request.x0 + kappa * f, 1e-4)


def test_implicit_h_edit_is_its_equation(tiny_model: Any, tiny_request: Make) -> None:
    """Two rounds at x_{t-1}, the second drawn back by the gradient of the published L1 loss."""
    request = tiny_request(guidance=7.5, steps=1, eta=1.0)
    maps = noise_maps(request, tiny_model, prompt=request.source)
    params = {"away": 4.0 / 7.5, "iterations": 2, "restore": 0.3}
    got = h_edit(request, maps, tiny_model, **params, **CLOSED)
    kappa = solver("ddim", tiny_model.schedule, maps.grid, 1.0).gain(0)
    x = request.x0
    for k in range(2):
        with torch.no_grad():
            eps = differences(request, tiny_model, x, 0)
        f = 7.5 * (eps["c"] - eps["u"]) - 4.0 * (eps["s"] - eps["u"])
        if k:
            moving = x.clone().requires_grad_()
            (slope,) = torch.autograd.grad(l1_loss(moving, request.x0), moving)
            x = x - 0.3 * f.square().mean().sqrt() / slope.square().mean().sqrt() * slope
        x = x + kappa * f
    close(got, x, 1e-3)


def test_the_source_holds_the_targets_attention_in_its_windows(tiny_model: Any, tiny_request: Make) -> None:
    request = tiny_request()
    inversion = on_trajectory(request, tiny_model)
    for form in ("explicit", "implicit"):
        free = h_edit(request, inversion, tiny_model, form=form, **CLOSED)
        for windows in ({"self_steps": 0.0}, {"cross_steps": 0.0}):
            assert not torch.equal(h_edit(request, inversion, tiny_model, form=form, **windows), free)


def test_h_edit_on_a_model_without_attention_says_so(
    tiny_model: Any, tiny_request: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    inversion = on_trajectory(tiny_request(), tiny_model)
    monkeypatch.setattr(tiny_model, "sites", ())
    with pytest.raises(MethodError, match="no attention layer"):
        h_edit(tiny_request(), inversion, tiny_model)


@pytest.mark.parametrize(
    ("params", "rows"),
    [
        # x^base is tgt.s; f adds tgt.c, and tgt.u where the guidances differ; the trajectory costs src.c.
        ({"form": "explicit", **CLOSED}, 8 * 2),
        ({"form": "explicit", **UNEQUAL, **CLOSED}, 8 * 3),
        ({"form": "explicit", **UNEQUAL}, 8 * 3 + 3),
        ({"form": "implicit", **UNEQUAL, **CLOSED}, 8 * 4),
        ({"form": "implicit", **UNEQUAL}, 8 * 4 + 3),
        ({"form": "implicit", "iterations": 2, **UNEQUAL, **CLOSED}, 8 * 7),
    ],
)
def test_what_h_edit_costs(params: Any, rows: int, tiny_model: Any, tiny_request: Make) -> None:
    request = tiny_request(eta=1.0)
    maps = noise_maps(request, tiny_model, prompt=request.source)
    before = tiny_model.counters.forward
    h_edit(request, maps, tiny_model, **params)
    assert tiny_model.counters.forward - before == rows
    before = tiny_model.counters.forward
    h_edit(request, on_trajectory(request, tiny_model), tiny_model, **params)
    closed = params.get("cross_steps", 0.4) == 0
    extra = 0 if closed or params["form"] == "implicit" else -3
    assert tiny_model.counters.forward - before == 8 + 8 + rows + extra


# LEDITS++


def ledits(request: EditRequest[Any], inversion: Inversion, model: Any, **params: Any) -> Any:
    return drain(Ledits().edit(replace(request, params=LeditsParams(**params)), inversion, model))


@pytest.mark.parametrize("name", ["ddim", "dpmpp_sde"])
@pytest.mark.parametrize(("prompt", "w"), [("", 1.0), ("a cat on the grass", 3.5)])
def test_ledits_of_strength_nought_is_the_picture(
    name: Any, prompt: str, w: float, tiny_model: Any, tiny_request: Make
) -> None:
    request = tiny_request(concepts=(("dog", 0.0),), eta=1.0, solver=name)
    maps = noise_maps(request, tiny_model, prompt=prompt, w=w)
    close(ledits(request, maps, tiny_model).latents, request.x0)


@pytest.mark.parametrize("start", [0.0, 0.25])
def test_ledits_after_edit_friendly_inversion_may_start_later(
    start: float, tiny_model: Any, tiny_request: Make
) -> None:
    """The published way: dpmpp_sde, which looks back a step, and the noisiest steps skipped."""
    request = tiny_request(concepts=(("dog", 0.0),), source="", solver="dpmpp_sde", start=start)
    inverter = EditFriendly()
    inversion = drain(inverter.invert(replace(request, params=inverter.params(), start=0.0), tiny_model))
    close(ledits(request, inversion, tiny_model).latents, request.x0)


@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_ledits_of_strength_nought_follows_a_pinned_trajectory(
    eta: float, tiny_model: Any, tiny_request: Make
) -> None:
    request = tiny_request(concepts=(("dog", 0.0),), eta=eta)
    close(ledits(request, on_trajectory(request, tiny_model), tiny_model).latents, request.x0)
    unpinned = on_trajectory(request, tiny_model, pin=False)
    assert torch.isfinite(ledits(request, unpinned, tiny_model).latents).all()


def test_ledits_that_never_begins_is_the_picture(tiny_model: Any, tiny_request: Make) -> None:
    request = tiny_request(concepts=(("dog", 1.0),), source="")
    edit = ledits(request, on_trajectory(request, tiny_model), tiny_model, begin=1.0)
    close(edit.latents, request.x0)
    assert edit.mask is None


def test_one_step_of_ledits_is_its_equation(tiny_model: Any, tiny_request: Make) -> None:
    """ε = ε_∅ + Σ_c s_c (ε_c - ε_∅) with nothing masked; s_c has the sign and size of its strength."""
    request = tiny_request(concepts=(("dog", 1.5), ("grass", -0.5)), guidance=4.0, steps=1, eta=1.0)
    maps = noise_maps(request, tiny_model, prompt="")
    got = ledits(request, maps, tiny_model, masks="none").latents
    texts = {"u": "", "dog": "dog", "grass": "grass"}
    with torch.no_grad():
        seen = {name: Seen(maps.at(0), tiny_model.text(text).embeddings) for name, text in texts.items()}
        eps = tiny_model.denoiser(seen, maps.grid.levels[0])
    change = 6.0 * (eps["dog"] - eps["u"]) - 2.0 * (eps["grass"] - eps["u"])
    kappa = solver("ddim", tiny_model.schedule, maps.grid, 1.0).gain(0)
    close(got, request.x0 + kappa * change, 1e-4)


@pytest.mark.parametrize("masks", ["both", "attention", "noise"])
def test_a_concept_touches_its_place_and_nothing_else(
    masks: Any, tiny_model: Any, tiny_request: Make
) -> None:
    """In one step of a network, whatever is outside the mask moves no further than without the concept."""
    request = tiny_request(concepts=(("dog", 1.0),), steps=1, eta=1.0)
    maps = noise_maps(request, tiny_model, prompt="", rows=2)
    edit = ledits(request, maps, tiny_model, masks=masks, threshold=0.75, hold=True)
    changed = ((edit.latents - request.x0).abs() > 1e-4).any(dim=1, keepdim=True)
    assert 0 < changed.float().mean() <= (0.3 if masks != "noise" else 0.26)
    assert not (changed & (edit.mask == 0)).any()
    assert 0 < edit.mask.mean() < 1


def test_ones_own_mask_decides_instead(tiny_model: Any, tiny_request: Make) -> None:
    request = tiny_request(concepts=(("dog", 1.0),), latent_mask=some_mask())
    edit = ledits(request, on_trajectory(request, tiny_model), tiny_model)
    assert edit.mask is None
    assert held(edit.latents, request.x0)
    assert not torch.equal(edit.latents, request.x0)


def test_ledits_costs_a_row_for_each_concept_and_one(tiny_model: Any, tiny_request: Make) -> None:
    request = tiny_request(concepts=(("dog", 1.0), ("grass", -0.5), ("car", 0.0)), source="", eta=1.0)
    maps = noise_maps(request, tiny_model, prompt="")
    before = tiny_model.counters.forward
    ledits(request, maps, tiny_model)
    assert tiny_model.counters.forward - before == 8 * (1 + 2)


def test_a_concept_without_a_name_is_refused(tiny_model: Any, tiny_request: Make) -> None:
    request = tiny_request(concepts=((" ", 1.0),))
    with pytest.raises(InputError, match="has no name"):
        ledits(request, on_trajectory(request, tiny_model), tiny_model)


@pytest.mark.parametrize("editor", [HEdit(), Ledits()], ids=lambda each: each.name)
def test_a_mask_holds_editors_of_inversions_outside_it(
    editor: Any, tiny_model: Any, tiny_request: Make
) -> None:
    request = tiny_request(latent_mask=some_mask(), params=editor.params(), concepts=(("dog", 1.0),), eta=1.0)
    for inversion in (
        on_trajectory(replace(request, eta=0.0), tiny_model),
        noise_maps(request, tiny_model, prompt=request.source),
    ):
        edit = drain(editor.edit(request, inversion, tiny_model)).latents
        assert held(edit, request.x0)
        assert not torch.equal(edit, request.x0)


def some_mask() -> torch.Tensor:
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 3:9, 6:12] = 1
    return mask


def held(edit: torch.Tensor, x0: torch.Tensor) -> bool:
    outside = (some_mask() == 0).expand_as(x0)
    return torch.equal(edit[outside], x0[outside])
