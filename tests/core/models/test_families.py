"""What each family is shown, against the pipelines that diffusers has for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import LCMScheduler
from diffusers.pipelines.latent_consistency_models.pipeline_latent_consistency_text2img import (
    LatentConsistencyModelPipeline,
)
from torch.nn.functional import interpolate
from transformers import CLIPTokenizer

from sfumato.diffusion.denoiser import Seen, guidance_embedding
from sfumato.diffusion.schedule import CLEAN, Schedule
from sfumato.errors import ModelError
from sfumato.events import ModelInfo
from sfumato.method import Ability, Recipe
from sfumato.models import folder
from sfumato.models.catalogue import from_path
from sfumato.models.family import model_info
from sfumato.models.inspection import describe
from sfumato.models.loading import load
from sfumato.models.model import Model
from sfumato.settings import ModelDefaults
from sfumato.starting import starting, starting_inverter
from tests import checkpoints
from tests.checkpoints import SCHEDULER, TOKENIZER, Tiny
from tests.tiny import drain, tiny_request


def assembled(tiny: Tiny, **changes: Any) -> Model:
    """A model of these networks without going through files."""
    configs: dict[str, Any] = {
        name: dict(part.config.to_dict() if name.startswith("text") else part.config)
        for name, part in tiny.parts.items()
    }
    info = model_info({**configs, "scheduler": tiny.scheduler}, from_path(Path("tiny")))
    tokenizers = {
        name.replace("text_encoder", "tokenizer"): CLIPTokenizer.from_pretrained(str(TOKENIZER))
        for name in tiny.parts
        if name.startswith("text")
    }
    values = {"info": info, "scheduler_config": tiny.scheduler, "weights_hash": "tiny"} | changes
    return Model.from_parts(**values, **tiny.parts, **tokenizers)


@pytest.fixture(autouse=True)
def _without_gradients() -> Any:
    with torch.no_grad():
        yield


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --- SDXL


def test_sdxl_is_shown_both_encoders_the_summary_and_the_size() -> None:
    tiny = checkpoints.sdxl()
    model = assembled(tiny)
    text = model.text("a red cat")
    ids = model._encoders[0].tokens("a red cat")["input_ids"]
    first = tiny.parts["text_encoder"](ids, output_hidden_states=True)
    second = tiny.parts["text_encoder_2"](ids, output_hidden_states=True)
    joined = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
    assert torch.equal(text.embeddings, joined)
    assert torch.equal(text.pooled, second.text_embeds)  # type: ignore[arg-type]
    x = noise(1, 4, 8, 16)
    told = {"text_embeds": second.text_embeds, "time_ids": torch.tensor([[64.0, 128, 0, 0, 64, 128]])}
    expected = tiny.parts["unet"](x, 501, encoder_hidden_states=joined, added_cond_kwargs=told).sample
    assert torch.equal(model.denoiser({"c": Seen(x, text.embeddings, text.pooled)}, 501)["c"], expected)


def test_sdxl_base_has_zeros_for_an_empty_prompt() -> None:
    model = assembled(checkpoints.sdxl(), empty_is_zero=True)
    empty, other = model.text(" "), model.text("a cat")
    assert not empty.embeddings.any()
    assert empty.pooled is not None
    assert not empty.pooled.any()
    assert other.embeddings.any()


def test_the_autoencoder_stays_in_float32_whatever_the_network_runs_in() -> None:
    model = assembled(checkpoints.sdxl(), dtype=torch.bfloat16)
    assert model.dtype == torch.bfloat16
    assert model.encode(noise(1, 3, 64, 64)).dtype == torch.float32
    assert next(model._vae.parameters()).dtype == torch.float32


# --- inpainting


def test_an_inpainting_model_is_shown_the_mask_and_what_is_around_it() -> None:
    tiny = checkpoints.sd1(9)
    model = assembled(tiny)
    image, mask = noise(1, 3, 64, 64).clamp(-1, 1), torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 8:40] = 1
    request = tiny_request(model, image=image, pixel_mask=mask)
    assert model.surround(request).guidance == request.guidance
    x, text = noise(1, 4, 8, 8, seed=1), model.text("a cat").embeddings
    masked = tiny.parts["vae"].encode(image * (mask < 0.5)).latent_dist.mean * 0.18215
    nine = torch.cat([x, interpolate(mask, size=(8, 8)), masked], dim=1)
    expected = tiny.parts["unet"](nine, 501, encoder_hidden_states=text).sample
    assert torch.equal(model.denoiser({"c": Seen(x, text)}, 501)["c"], expected)


def test_without_a_mask_everything_is_to_be_painted() -> None:
    tiny = checkpoints.sd1(9)
    model = assembled(tiny)
    x, text = noise(2, 4, 8, 8), model.text("a cat").embeddings
    grey = tiny.parts["vae"].encode(torch.zeros(1, 3, 64, 64)).latent_dist.mean * 0.18215
    nine = torch.cat([x, torch.ones(2, 1, 8, 8), grey.expand(2, -1, -1, -1)], dim=1)
    expected = tiny.parts["unet"](nine, 501, encoder_hidden_states=text.expand(2, -1, -1)).sample
    rows = {str(k): Seen(x[k : k + 1], text) for k in range(2)}
    for _ in range(2):
        found = model.denoiser(rows, 501)
        assert torch.equal(torch.cat(list(found.values())), expected)
        model.surround(tiny_request(model, pixel_mask=None))


# --- few-step models


def test_the_guidance_of_an_lcm_is_an_input_and_leaves_one_row() -> None:
    tiny = checkpoints.lcm()
    model = assembled(tiny)
    assert model.surround(tiny_request(model, guidance=8.5)).guidance == 1.0
    x, text = noise(1, 4, 8, 8), model.text("a cat").embeddings
    w = LatentConsistencyModelPipeline.get_guidance_scale_embedding(
        None,
        torch.tensor([7.5]),
        embedding_dim=16,  # type: ignore[arg-type]
    )
    torch.testing.assert_close(guidance_embedding(8.5, 16), w, atol=1e-3, rtol=0)
    condition = guidance_embedding(8.5, 16)
    expected = tiny.parts["unet"](x, 259, encoder_hidden_states=text, timestep_cond=condition).sample
    assert torch.equal(model.denoiser({"c": Seen(x, text)}, 259)["c"], expected)


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_an_lcm_passes_the_levels_it_was_distilled_on(steps: int) -> None:
    config = SCHEDULER | {"_class_name": "LCMScheduler", "original_inference_steps": 50}
    official = LCMScheduler.from_config(config)
    official.set_timesteps(steps)
    levels = Schedule.from_config(config).grid(steps).levels
    assert levels == (*official.timesteps.tolist(), CLEAN)
    assert Schedule.from_config(config).grid(500).steps == 50


def test_a_turbo_model_starts_from_pure_noise_and_ends_clean() -> None:
    schedule = Schedule.from_config(checkpoints.turbo().scheduler)
    assert schedule.grid(4).levels == (999, 749, 499, 249, CLEAN)
    assert schedule.grid(1).levels == (999, CLEAN)


# --- what is said about them


def said(tiny: Tiny) -> ModelInfo:
    return assembled(tiny).info


def test_each_family_says_what_it_can_do() -> None:
    everything = frozenset(Ability) - {Ability.INSTRUCTIONS}
    for tiny, family, inputs, abilities in (
        (checkpoints.sd1(), "Stable Diffusion 1", "picture", everything),
        (checkpoints.sd1(9), "Stable Diffusion 1", "inpainting", everything),
        (checkpoints.sd1(8), "Stable Diffusion 1", "instructions", {Ability.INSTRUCTIONS}),
        (checkpoints.sd2(), "Stable Diffusion 2", "picture", everything),
        (checkpoints.sdxl(), "Stable Diffusion XL", "picture", everything),
        (checkpoints.lcm(), "Stable Diffusion 1", "picture", everything - {Ability.INVERSION}),
        (checkpoints.turbo(), "Stable Diffusion 1", "picture", everything - {Ability.INVERSION}),
    ):
        info = said(tiny)
        assert (info.family, info.inputs, info.abilities) == (family, inputs, abilities)
    assert said(checkpoints.sd2()).prediction == "v_prediction"
    assert said(checkpoints.sd2()).size == 768
    assert said(checkpoints.sdxl()).size == 1024


def test_each_family_has_its_own_defaults() -> None:
    wanted = {
        checkpoints.sd1: (50, 7.5, "ddim"),
        checkpoints.sdxl: (50, 5.0, "ddim"),
        checkpoints.lcm: (4, 8.0, "lcm"),
        checkpoints.turbo: (4, 1.0, "euler_a"),
    }
    for make, expected in wanted.items():
        defaults = said(make()).defaults
        assert (defaults.steps, defaults.guidance, defaults.solver) == expected


def test_a_folder_says_what_recipes_start_with(tmp_path: Path) -> None:
    root = checkpoints.sd1(8).save_folder(tmp_path / "model")
    assert starting(describe(from_path(root)), "any") == {"steps": 50, "guidance": 7.5, "solver": "euler_a"}
    editors = {"told": {"guidance": 2.5, "keep": 1.25}}
    (root / "sfumato.json").write_text(json.dumps({"solver": "ddim", "guidance": 4, "editors": editors}))
    info = describe(from_path(root))
    assert starting(info, "any") == {"steps": 50, "guidance": 4.0, "solver": "ddim"}
    assert starting(info, "told", ModelDefaults(steps=9)) == {"steps": 9, "guidance": 2.5, "solver": "ddim"}
    assert starting(info, "told", ModelDefaults(guidance=1))["guidance"] == 1
    assert starting_inverter(info, "told") == starting_inverter(None, "told") == Recipe().inverter
    (root / "sfumato.json").write_text(json.dumps({"editors": {"told": {"inverter": "naive"}}}))
    info = describe(from_path(root))
    assert starting_inverter(info, "told") == starting(info, "told")["inverter"] == "naive"
    assert starting_inverter(info, "any") == Recipe().inverter


@pytest.mark.parametrize("wrong", ['{"steps": 0}', '{"solver": "magic"}', '{"step": 4}', "[]", "{"])
def test_wishes_that_cannot_be_are_refused_in_a_sentence(tmp_path: Path, wrong: str) -> None:
    root = checkpoints.sd1().save_folder(tmp_path / "model")
    (root / "sfumato.json").write_text(wrong)
    with pytest.raises(ModelError, match=r"sfumato\.json"):
        describe(from_path(root))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"unet": {"in_channels": 5}}, "takes 5 channels"),
        ({"unet": {"class_embed_type": "projection"}}, "class_embed_type"),
        ({"unet": {"addition_embed_type": "text_time"}}, "addition_embed_type"),
        ({"unet": {"in_channels": "many"}}, "does not say its 'in_channels'"),
        ({"scheduler": {"rescale_betas_zero_snr": True}}, "zero terminal SNR"),
        ({"vae": {"latents_mean": [0.0]}}, "shifts its latents"),
    ],
)
def test_what_the_engine_does_not_feed_is_refused_by_name(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    root = checkpoints.sd1().save_folder(tmp_path / "model")
    for part, values in change.items():
        name = "scheduler_config.json" if part == "scheduler" else "config.json"
        path = root / part / name
        path.write_text(json.dumps(json.loads(path.read_text()) | values))
    with pytest.raises(ModelError, match=said):
        folder.inspect(root)


def test_an_sdxl_folder_whose_parts_do_not_fit_is_refused(tmp_path: Path) -> None:
    root = checkpoints.sdxl().save_folder(tmp_path / "model")
    path = root / "unet" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"addition_time_embed_dim": 7}))
    with pytest.raises(ModelError, match="second text encoder"):
        describe(from_path(root))


# --- precision


def test_attention_that_asks_for_float32_is_computed_there() -> None:
    """Scores of 70,000 are beyond fp16; no number is lost all the same."""
    tiny = checkpoints.sd2("epsilon")
    for module in tiny.parts["unet"].modules():
        if hasattr(module, "to_q"):
            module.to_q.weight.data.mul_(60)
            module.to_k.weight.data.mul_(60)
    full = assembled(tiny, dtype=torch.float32)
    names = {type(each).__name__ for each in full.unet.attn_processors.values()}  # type: ignore[attr-defined]
    assert names == {"_Controlled"}
    site = full.sites[0]
    module: Any = full.unet.get_submodule(site.name).half()
    x = noise(1, 64, 64).half() * 20
    scores = (module.to_q(x) @ module.to_k(x).transpose(1, 2)).float()
    assert not torch.isfinite(scores).all()
    assert torch.isfinite(module(x)).all()


def test_loading_reads_what_was_saved(tmp_path: Path) -> None:
    root = checkpoints.sdxl().save_folder(tmp_path / "xl")
    model = drain(load(from_path(root), device="cpu", cache_dir=tmp_path))
    assert model.denoiser.size_scale == 8
    assert model._encoders[1].tokenizer.pad_token == "!"
