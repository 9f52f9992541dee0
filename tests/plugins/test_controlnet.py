"""ControlNet's own algebra on a tiny model, and diffusers' pipeline as the oracle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from sfumato.diffusion.branches import fresh_noise
from sfumato.diffusion.control import Steering, open_steps
from sfumato.diffusion.denoiser import Row, Stopped
from sfumato.method import EditRequest
from sfumato.models.controlnet import attached
from sfumato.pairing import PairingError
from sfumato_plugins.controlnet import ControlNetEdit, ControlNetParams
from sfumato_plugins.ddim_naive import DdimNaive, StrengthParams
from sfumato_plugins.direct import Direct
from sfumato_plugins.generate import Generate
from sfumato_plugins.reprompt import Reprompt
from tests.tiny import SCHEDULER, drain, tiny_control_net, tiny_network, tiny_parts

Make = Callable[..., EditRequest[Any]]
STEPS = 8
EDITOR = ControlNetEdit()
IMAGE = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(5)) * 2 - 1


@pytest.fixture
def ask(tiny_request: Make) -> Make:
    """A request with a ControlNet that does something; keywords are parameters, `on` is the request's."""

    def make(networks: tuple[Any, ...] = (tiny_control_net(1),), on: Any = None, **values: Any) -> Any:
        params = ControlNetParams(**values)
        return tiny_request(params=params, networks=networks, control_images={"control": IMAGE}, **(on or {}))

    return make


def edited(request: EditRequest[Any], model: Any, inversion: Any = None) -> Tensor:
    return drain(EDITOR.edit(request, inversion, model)).latents


@pytest.mark.parametrize(
    ("networks", "values"),
    [
        ((tiny_control_net(1),), {"scale": 0.0}),
        ((tiny_control_net(),), {}),
        ((tiny_control_net(),), {"guess": True}),
        ((tiny_control_net(1),), {"end": 0.0}),
        ((tiny_control_net(1),), {"start": 1.0}),
    ],
    ids=["scale 0", "zero convolutions", "zero convolutions, guessing", "end 0", "start 1"],
)
def test_a_silent_control_net_is_the_plain_sampler_bit_for_bit(
    networks: Any, values: dict[str, Any], ask: Make, tiny_model: Any, tiny_request: Make
) -> None:
    plain = drain(Generate().edit(tiny_request(), None, tiny_model)).latents
    assert torch.equal(edited(ask(networks, **values), tiny_model), plain)


def test_one_that_speaks_changes_the_picture_and_so_does_its_image(ask: Make, tiny_model: Any) -> None:
    silent, spoken = edited(ask(scale=0.0), tiny_model), edited(ask(), tiny_model)
    other = edited(replace(ask(), control_images={"control": -IMAGE}), tiny_model)
    assert not torch.equal(silent, spoken)
    assert not torch.equal(spoken, other)


def test_of_two_with_scales_s_and_0_only_the_first_counts(ask: Make, tiny_model: Any) -> None:
    both = tiny_control_net(1), tiny_control_net(2)
    one = edited(ask(scale=0.7), tiny_model)
    assert torch.equal(edited(ask(both, scale=0.7, second_scale=0.0), tiny_model), one)
    assert not torch.equal(edited(ask(both, scale=0.7, second_scale=0.5), tiny_model), one)


def test_the_second_looks_at_its_own_image_if_there_is_one(ask: Make, tiny_model: Any) -> None:
    both = tiny_control_net(1), tiny_control_net(2)
    request = ask(both)
    named = replace(request, control_images={"second": IMAGE, "control": IMAGE})
    apart = replace(request, control_images={"second": -IMAGE, "control": IMAGE})
    assert torch.equal(edited(named, tiny_model), edited(request, tiny_model))
    assert not torch.equal(edited(apart, tiny_model), edited(request, tiny_model))


def test_there_is_a_residual_of_the_right_shape_for_every_skip(tiny_model: Any) -> None:
    skips: list[Any] = []

    def look(module: Any, inputs: Any, named: dict[str, Any], output: Any) -> None:
        skips.extend(each.shape for each in output[1])

    x = torch.randn(1, 4, 16, 16)
    steering = Steering(tiny_control_net(1), IMAGE / 2 + 0.5, 1.0, range(STEPS))
    blocks = [block.register_forward_hook(look, with_kwargs=True) for block in tiny_model.unet.down_blocks]
    with torch.no_grad():
        text = tiny_model.text("a cat").embeddings
        answer = steering(x, 500, text, 0, None)
        tiny_model.denoiser({"a": Row("a", tiny_model.text("a cat")).seen(x, 0)}, 500)
    for handle in blocks:
        handle.remove()
    assert answer is not None
    down, middle = answer
    first = torch.Size([1, 16, 16, 16])
    assert [each.shape for each in down] == [first, *skips]
    assert middle.shape == skips[-1]


def test_guess_mode_leaves_the_unconditional_rows_alone(ask: Make, tiny_model: Any) -> None:
    """At the first step all latents are those of the plain run, so its noise must be too."""
    seen: dict[bool, dict[str, Tensor]] = {}
    for guess in (True, False):
        kept = seen[guess] = {}
        with watched(tiny_model, kept):
            edited(ask(guess=guess), tiny_model)
    plain: dict[str, Tensor] = {}
    with watched(tiny_model, plain):
        edited(ask(scale=0.0), tiny_model)
    assert torch.equal(seen[True]["tgt0.u"], plain["tgt0.u"])
    assert not torch.equal(seen[True]["tgt0.c"], plain["tgt0.c"])
    assert not torch.equal(seen[False]["tgt0.u"], plain["tgt0.u"])
    assert not torch.equal(seen[False]["tgt0.c"], seen[True]["tgt0.c"])


class watched:  # noqa: N801 - reads as a verb
    """Keep the noise of each row at the first step."""

    def __init__(self, model: Any, kept: dict[str, Tensor]) -> None:
        self.model, self.kept = model, kept

    def __enter__(self) -> None:
        self.denoiser = self.model.denoiser

        def call(rows: Any, level: int, **options: Any) -> Any:
            eps = self.denoiser(rows, level, **options)
            if not self.kept:
                self.kept.update(eps)
            return eps

        self.model.denoiser = call

    def __exit__(self, *_: Any) -> None:
        self.model.denoiser = self.denoiser


def test_guess_mode_scales_the_residuals_from_a_tenth_to_one() -> None:
    x, context = torch.randn(1, 4, 16, 16), torch.randn(1, 16, 16)
    steering = Steering(tiny_control_net(1), IMAGE / 2 + 0.5, 0.5, range(1))
    whole, guessed = (
        steering(x, 500, context, 0, None),
        replace(steering, guess=True)(x, 500, context, 0, None),
    )
    assert whole is not None
    assert guessed is not None
    factors = torch.logspace(-1, 0, len(whole[0]) + 1)
    for one, other, factor in zip((*whole[0], whole[1]), (*guessed[0], guessed[1]), factors, strict=True):
        assert torch.allclose(other, one * factor, atol=1e-6)


def test_it_costs_two_rows_and_two_control_rows_a_step(ask: Make, tiny_model: Any) -> None:
    for values, forward, control in (
        ({}, 2, 2),
        ({"guess": True}, 2, 1),
        ({"end": 0.5}, 2, 1),
        ({"scale": 0.0}, 2, 0),
    ):
        before = replace(tiny_model.counters)
        edited(ask(**values), tiny_model)
        assert tiny_model.counters.forward - before.forward == forward * STEPS
        assert tiny_model.counters.control - before.control == control * STEPS
        assert tiny_model.counters.backward == before.backward
    before = replace(tiny_model.counters)
    edited(ask((tiny_control_net(1), tiny_control_net(2))), tiny_model)
    assert tiny_model.counters.control - before.control == 4 * STEPS


def test_without_control_each_way_to_start_is_the_method_of_that_name(
    ask: Make, tiny_model: Any, tiny_request: Make
) -> None:
    sdedit = DdimNaive().edit(tiny_request(params=StrengthParams(strength=0.5)), None, tiny_model)
    assert torch.equal(edited(ask(scale=0.0, strength=0.5), tiny_model), drain(sdedit).latents)
    inversion = drain(Direct().invert(tiny_request(), tiny_model))
    for strength, start in ((1.0, 0.0), (0.5, 0.5)):
        plain = drain(Reprompt().edit(tiny_request(start=start), inversion, tiny_model)).latents
        assert torch.equal(edited(ask(scale=0.0, strength=strength), tiny_model, inversion), plain)
    assert torch.equal(edited(ask(strength=0.0), tiny_model), tiny_request().x0)


def test_outside_a_mask_the_latents_are_the_sources(ask: Make, tiny_model: Any) -> None:
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 4:10, 5:12] = 1
    request = ask(on={"latent_mask": mask})
    outside = (mask == 0).expand_as(request.x0)
    result = edited(request, tiny_model)
    assert torch.equal(result[outside], request.x0[outside])
    assert not torch.equal(result, request.x0)


def test_it_needs_no_picture(ask: Make, tiny_model: Any) -> None:
    words = ask(on={"image": None, "x0": None})
    assert torch.equal(edited(words, tiny_model), edited(ask(), tiny_model))


def test_the_windows_of_steps_are_those_of_diffusers() -> None:
    for steps, start, end in ((10, 0.0, 1.0), (10, 0.25, 0.75), (7, 0.1, 0.9), (50, 0.3, 0.3), (3, 0.9, 1.0)):
        kept = [i for i in range(steps) if not (i / steps < start or (i + 1) / steps > end)]
        assert list(open_steps(start, end, steps)) == kept


def test_the_networks_are_named_by_its_parameters() -> None:
    assert EDITOR.networks(ControlNetParams(network="edges")) == ("edges",)
    assert EDITOR.networks(ControlNetParams(network="a", second_network="b")) == ("a", "b")
    with pytest.raises(PairingError, match="needs a ControlNet"):
        EDITOR.networks(ControlNetParams(second_network="b"))


def test_a_stop_reaches_into_the_control_nets_blocks(ask: Make, tiny_model: Any) -> None:
    network = tiny_network(1)
    control_net = attached("tiny", network, tiny_model, "hash")
    calls: list[int] = []

    def stop(*_: Any) -> None:
        tiny_model.stop.set()

    network.conv_in.register_forward_hook(stop)
    network.mid_block.register_forward_pre_hook(lambda *_: calls.append(1))
    steps = EDITOR.edit(ask((control_net,)), None, tiny_model)
    with torch.no_grad(), pytest.raises(Stopped):
        next(steps)
    assert calls == []


@pytest.mark.parametrize(
    "values",
    [{}, {"scale": 0.6, "start": 0.2, "end": 0.8}, {"guess": True}],
    ids=["plain", "window", "guess"],
)
@pytest.mark.filterwarnings("ignore")
def test_the_pipeline_of_diffusers_gives_the_same(values: dict[str, Any], ask: Make, tiny_model: Any) -> None:
    from diffusers import DDIMScheduler, StableDiffusionControlNetPipeline

    schedule = {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}
    pipeline: Any = StableDiffusionControlNetPipeline(
        **tiny_parts() | {"unet": tiny_model.unet},
        controlnet=tiny_control_net(1).network,
        scheduler=DDIMScheduler(**SCHEDULER, **schedule),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    request = ask(**values)
    p: ControlNetParams = request.params
    with torch.no_grad():
        theirs = pipeline(
            prompt_embeds=tiny_model.text(request.target).embeddings,
            negative_prompt_embeds=tiny_model.text(request.negative).embeddings,
            image=IMAGE / 2 + 0.5,
            height=32,
            width=32,
            latents=fresh_noise(request.seed, request.latent_shape)(),
            num_inference_steps=STEPS,
            guidance_scale=request.guidance,
            controlnet_conditioning_scale=p.scale,
            control_guidance_start=p.start,
            control_guidance_end=p.end,
            guess_mode=p.guess,
            output_type="latent",
        ).images
    assert torch.allclose(edited(request, tiny_model), theirs, atol=1e-3)
