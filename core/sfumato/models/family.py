"""Which family a model is of and what it can do, from its configurations alone; torch is not needed.

`configs` maps parts to their diffusers configurations; "index" is the model's `model_index.json`, "wishes"
what its folder says recipes should start with.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sfumato.diffusion.spacing import distilled_stride, is_consistency
from sfumato.errors import ModelError
from sfumato.events import Defaults, Inputs, ModelInfo
from sfumato.method import Ability
from sfumato.models.catalogue import Checkpoint
from sfumato.models.wishes import granted

Configs = Mapping[str, Mapping[str, Any]]

SD1, SD2, SDXL = "Stable Diffusion 1", "Stable Diffusion 2", "Stable Diffusion XL"
_SMALL = "Stable Diffusion, small"
_CLIP_CONTEXT = 77
_TIME_IDS = 6
"""Numbers SDXL is told about a picture: original height, width, crop top, left, target height, width."""
_REQUIRED = {
    "unet": ("sample_size", "block_out_channels", "in_channels", "cross_attention_dim"),
    "vae": ("block_out_channels", "latent_channels", "scaling_factor"),
    "text_encoder": ("hidden_size",),
    "text_encoder_2": ("hidden_size", "projection_dim"),
}


def family(configs: Configs) -> str:
    """The family's name. OpenCLIP's text encoder, which is Stable Diffusion 2's, has another activation."""
    if "text_encoder_2" in configs:
        return SDXL
    text = configs["text_encoder"]
    if text.get("max_position_embeddings", _CLIP_CONTEXT) < _CLIP_CONTEXT:
        return _SMALL
    return SD2 if text.get("hidden_act", "quick_gelu") == "gelu" else SD1


def inputs(configs: Configs) -> Inputs:
    """What the network looks at, by its channels. Raises `KeyError` for a number of them nobody feeds."""
    latent = configs["vae"]["latent_channels"]
    kinds: dict[int, Inputs] = {0: "picture", latent: "instructions", latent + 1: "inpainting"}
    return kinds[configs["unet"]["in_channels"] - latent]


def model_info(configs: Configs, checkpoint: Checkpoint) -> ModelInfo:
    """Describe a model whose configurations passed `refuse_unfit`."""
    unet, vae = configs["unet"], configs["vae"]
    scale = 2 ** (len(vae["block_out_channels"]) - 1)
    return ModelInfo(
        name=checkpoint.name,
        title=checkpoint.title,
        size=int(unet["sample_size"]) * scale,
        multiple=scale * 2 ** (len(unet["block_out_channels"]) - 1),
        abilities=_abilities(configs),
        note=checkpoint.note,
        family=family(configs),
        inputs=inputs(configs),
        prediction=configs["scheduler"].get("prediction_type", "epsilon"),
        defaults=granted(_defaults(configs), configs.get("wishes", {})),
    )


def _takes_few_steps(configs: Configs) -> bool:
    return distilled_stride(configs["scheduler"]) is not None or takes_guidance(configs)


def takes_guidance(configs: Configs) -> bool:
    """Whether the guidance is an input of the network (LCM), not a combination of its outputs."""
    return bool(configs["unet"].get("time_cond_proj_dim"))


def _abilities(configs: Configs) -> frozenset[Ability]:
    if inputs(configs) == "instructions":
        return frozenset({Ability.INSTRUCTIONS})
    lacking = {Ability.INSTRUCTIONS} | ({Ability.INVERSION} if _takes_few_steps(configs) else set())
    return frozenset(Ability) - lacking


def _defaults(configs: Configs) -> Defaults:
    if is_consistency(configs["scheduler"]) or takes_guidance(configs):
        return Defaults(steps=4, guidance=8.0 if takes_guidance(configs) else 1.0, solver="lcm")
    if _takes_few_steps(configs):
        return Defaults(steps=4, guidance=1.0, solver="euler_a")
    if inputs(configs) == "instructions":
        return Defaults(guidance=7.5, solver="euler_a")
    return Defaults(guidance=7.5 if family(configs) in (SD1, SD2) else 5.0)


def refuse_unfit(configs: Configs, root: Path) -> None:
    """Check that the parts fit one another and that nothing is asked for which the engine does not feed.

    Raises `ModelError`.
    """
    for part, names in _REQUIRED.items():
        for name in names if part in configs else ():
            wanted = list if name == "block_out_channels" else int | float | list
            if not configs[part].get(name) or not isinstance(configs[part][name], wanted):
                raise ModelError(f"The {part} of {root} does not say its '{name}'; the model is damaged.")
    unet, vae = configs["unet"], configs["vae"]
    try:
        inputs(configs)
    except KeyError:
        raise ModelError(
            f"The unet of {root} takes {unet['in_channels']} channels where its vae gives "
            f"{vae['latent_channels']}; such models (depth, upscaling, a refiner) cannot be used."
        ) from None
    texts = [configs[part] for part in ("text_encoder", "text_encoder_2") if part in configs]
    if unet["cross_attention_dim"] != sum(text["hidden_size"] for text in texts):
        raise ModelError(f"The text encoder of {root} does not fit its unet.")
    _refuse_additions(configs, root)
    if not isinstance(unet["sample_size"], int):
        raise ModelError(f"The unet of {root} is not square; this version cannot use it yet.")
    if configs["scheduler"].get("rescale_betas_zero_snr"):
        raise ModelError(
            f"The noise schedule of {root} ends in pure noise (zero terminal SNR), which cannot be used."
        )
    if vae.get("latents_mean") or vae.get("shift_factor"):
        raise ModelError(f"The vae of {root} shifts its latents, as those of other families do.")


def _refuse_additions(configs: Configs, root: Path) -> None:
    """Only SDXL's own further conditions are given: the pooled text and six numbers about the picture."""
    unet, added = configs["unet"], configs["unet"].get("addition_embed_type")
    for name in ("class_embed_type", "encoder_hid_dim", "num_class_embeds"):
        if unet.get(name):
            raise ModelError(f"The unet of {root} wants '{name}', which this version does not give yet.")
    if "text_encoder_2" in configs:
        pooled = configs["text_encoder_2"]["projection_dim"]
        wanted = _TIME_IDS * (unet.get("addition_time_embed_dim") or 0) + pooled
        if added != "text_time" or unet.get("projection_class_embeddings_input_dim") != wanted:
            raise ModelError(f"The second text encoder of {root} does not fit its unet.")
    elif added:
        raise ModelError(f"The unet of {root} wants 'addition_embed_type', which nothing in it gives.")
