"""The same numbers as diffusers' own pipelines, on the same random weights and the same noise."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, EulerAncestralDiscreteScheduler, UNet2DConditionModel

from sfumato.diffusion.inversion import Inversion
from sfumato.events import ModelInfo
from sfumato.method import Ability
from sfumato.models.model import Model
from sfumato_plugins.instruct_pix2pix import InstructPix2Pix, InstructPix2PixParams
from sfumato_plugins.ledits import Ledits, LeditsParams
from tests.tiny import SCHEDULER, drain, tiny_parts
from tests.tiny import tiny_request as make_request

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning"),  # diffusers under NumPy 2
]


def model_of(parts: dict[str, Any], *abilities: Ability) -> Model:
    info = ModelInfo("tiny", "Tiny", size=32, multiple=4, abilities=frozenset(abilities))
    return Model.from_parts(info=info, **parts, scheduler_config=SCHEDULER, weights_hash="tiny")


@pytest.mark.parametrize("spacing", ["leading", "linspace"])
def test_instruct_pix2pix_equals_diffusers(spacing: Any) -> None:
    from diffusers import StableDiffusionInstructPix2PixPipeline

    parts = tiny_parts(8)
    model, steps = model_of(parts, Ability.INSTRUCTIONS), 4
    scheduler = EulerAncestralDiscreteScheduler(**SCHEDULER, timestep_spacing=spacing, steps_offset=1)
    pipeline = StableDiffusionInstructPix2PixPipeline(
        **parts,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    start = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    request = make_request(
        model,
        instruction="big red dog",
        negative="photo",
        guidance=3.0,
        steps=steps,
        solver="euler_a",
        noise=torch.cat([start, steps_of_noise(7, steps)]),
        params=InstructPix2PixParams(picture_guidance=1.25, timesteps=spacing, clean_end=True),
    )
    expected = pipeline(
        prompt="big red dog",
        negative_prompt="photo",
        image=(request.image + 1) / 2,
        num_inference_steps=steps,
        guidance_scale=3.0,
        image_guidance_scale=1.25,
        latents=start.clone(),
        generator=torch.Generator().manual_seed(7),
        output_type="latent",
    ).images
    got = drain(InstructPix2Pix().edit(request, None, model)).latents
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3)


def steps_of_noise(seed: int, steps: int) -> torch.Tensor:
    """(steps, 4, 16, 16): what a scheduler draws from one generator, one after the other."""
    generator = torch.Generator().manual_seed(seed)
    return torch.cat([torch.randn(1, 4, 16, 16, generator=generator) for _ in range(steps)])


MASKS = {
    "both": {"use_intersect_mask": True},
    "attention": {"use_cross_attn_mask": True, "use_intersect_mask": False},
    "noise": {"use_intersect_mask": False},
}


@pytest.mark.parametrize("masks", MASKS)
def test_ledits_equals_diffusers(masks: Any) -> None:
    """On a network that looks at words at a quarter of the latent's size, as Stable Diffusion does."""
    from diffusers import LEditsPPPipelineStableDiffusion

    parts, steps = tiny_parts() | {"unet": deep_unet()}, 3
    model, processors = model_of(parts, Ability.PROMPTS), dict(parts["unet"].attn_processors)
    scheduler = DDIMScheduler(**SCHEDULER, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    generator = torch.Generator().manual_seed(5)
    start, zs = (torch.randn(n, 4, 64, 64, generator=generator) for n in (1, steps))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = LEditsPPPipelineStableDiffusion(
            **parts,
            scheduler=scheduler,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.set_progress_bar_config(disable=True)
    # It asks the tokenizer how many tokens an edit has, and fast tokenizers count the padding.
    encode = pipeline.encode_prompt
    pipeline.encode_prompt = lambda **given: (*encode(**given)[:2], [2, 1])
    scheduler.set_timesteps(steps)
    pipeline.inversion_steps, pipeline.eta, pipeline.batch_size = scheduler.timesteps, 1.0, 1
    pipeline.init_latents, pipeline.zs = start, zs[:, None]
    expected = pipeline(
        editing_prompt=["red dog", "grass"],
        edit_guidance_scale=[6.0, 2.0],
        reverse_editing_direction=[False, True],
        edit_warmup_steps=1,
        edit_threshold=0.85,  # between two values: a quantile that is one of them hangs on its last bit
        output_type="latent",
        **MASKS[masks],
    ).images
    parts["unet"].set_attn_processor(processors)
    grid = model.schedule.grid(steps)
    assert list(grid.levels[:-1]) == scheduler.timesteps.tolist()
    inversion = Inversion(
        x0=start, grid=grid, prompt="", trajectory=start.expand(steps + 1, -1, -1, -1), noise=zs
    )
    request = make_request(
        model,
        x0=start,
        latent_shape=(1, 4, 64, 64),
        concepts=(("red dog", 1.5), ("grass", -0.5)),
        guidance=4.0,
        steps=steps,
        eta=1.0,
        params=LeditsParams(masks=masks, threshold=0.85, begin=1 / steps),
    )
    got = drain(Ledits().edit(request, inversion, model)).latents
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3)


def deep_unet() -> UNet2DConditionModel:
    torch.manual_seed(2)
    return UNet2DConditionModel(
        sample_size=64,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=4,
        norm_num_groups=4,
    )
