"""Single files are a stranger's, too: what is in one is known from its header, and what cannot be is said."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file

from sfumato.diffusion.spacing import distilled_stride
from sfumato.errors import ModelError
from sfumato.models import layouts, shapes, single_file
from sfumato.models.catalogue import from_path
from sfumato.models.inspection import describe
from sfumato.models.loading import load
from tests import checkpoints
from tests.checkpoints import SD_BLOCKS, XL_BLOCKS, copy_tokenizer, original_unet_key, original_vae
from tests.tiny import drain


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    return checkpoints.sd1().original()


@pytest.fixture
def saved(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> Callable[..., Path]:
    """Save the tensors of a small model, or some of them, under a name."""

    def save(name: str = "model", *, drop: str = "", metadata: Any = None, **more: torch.Tensor) -> Path:
        chosen = {key: each for key, each in tensors.items() if not drop or not key.startswith(drop)}
        path = tmp_path / f"{name}.safetensors"
        save_file({key: each.clone().contiguous() for key, each in (chosen | more).items()}, path, metadata)
        return path

    return save


# --- what the shapes say

SD1 = {"block_out_channels": (320, 640, 1280, 1280), "cross_attention_dim": 768, "attention_head_dim": 8}
SD2 = {
    "block_out_channels": (320, 640, 1280, 1280),
    "cross_attention_dim": 1024,
    "attention_head_dim": (5, 10, 20, 20),
    "use_linear_projection": True,
}
SDXL = {
    "block_out_channels": (320, 640, 1280),
    "cross_attention_dim": 2048,
    "attention_head_dim": (5, 10, 20),
    "use_linear_projection": True,
    "transformer_layers_per_block": (1, 2, 10),
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}


@pytest.mark.parametrize(
    ("config", "pooled"),
    [
        pytest.param(SD1 | SD_BLOCKS, None, id="1.5"),
        pytest.param(SD1 | SD_BLOCKS | {"in_channels": 9}, None, id="1.5 inpainting"),
        pytest.param(SD1 | SD_BLOCKS | {"in_channels": 8}, None, id="InstructPix2Pix"),
        pytest.param(SD1 | SD_BLOCKS | {"time_cond_proj_dim": 256}, None, id="LCM"),
        pytest.param(SD2 | SD_BLOCKS, None, id="2.1"),
        pytest.param(SDXL | XL_BLOCKS, 1280, id="XL"),
    ],
)
def test_the_shapes_of_the_real_networks_give_their_published_configurations(
    config: dict[str, Any], pooled: int | None
) -> None:
    """Full size, in the original key layout, and without a single weight."""
    with torch.device("meta"):
        network = UNet2DConditionModel(**config)
    state = network.state_dict()
    original = {original_unet_key(key, 2, state): each for key, each in state.items()}
    found = layouts.unet_weights(original)
    assert {key: each.shape for key, each in found.items()} == {key: e.shape for key, e in state.items()}
    told = shapes.unet_config({key: tuple(each.shape) for key, each in found.items()}, pooled)
    with torch.device("meta"):
        again: Any = UNet2DConditionModel.from_config(told)
    for name in config:
        given, read = getattr(network.config, name), getattr(again.config, name)
        assert _listed(read, 4) == _listed(given, 4), name
    heads = [m.heads for m in again.modules() if hasattr(m, "heads")]
    assert heads == [m.heads for m in network.modules() if hasattr(m, "heads")]


def _listed(value: Any, length: int) -> Any:
    """8 and [8, 8, 8, 8] mean the same."""
    return list(value) if isinstance(value, list | tuple) else [value] * length


def test_the_shapes_of_the_real_autoencoder_give_its_configuration() -> None:
    config = {
        "block_out_channels": (128, 256, 512, 512),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 2,
        "latent_channels": 4,
    }
    with torch.device("meta"):
        state = AutoencoderKL(**config).state_dict()
    found = layouts.vae_weights(original_vae(state))
    assert {key: each.shape for key, each in found.items()} == {key: e.shape for key, e in state.items()}
    told = shapes.vae_config({key: tuple(each.shape) for key, each in found.items()}, 0.18215)
    assert all(tuple(told[name]) == each for name, each in config.items() if isinstance(each, tuple))
    assert (told["layers_per_block"], told["latent_channels"]) == (2, 4)


# --- what shapes do not say


@pytest.mark.parametrize(
    ("name", "stride"),
    [
        ("sd_xl_turbo_1.0_fp16", 1),
        ("dreamshaperXL_lightningDPMSDE", 1),
        ("Hyper-SD15-8steps", 1),
        ("LCM_Dreamshaper_v7", 20),
        ("hyperrealism_v2", None),
        ("anything", None),
    ],
)
def test_a_few_step_model_is_known_by_its_name(saved: Any, name: str, stride: int | None) -> None:
    configs = single_file.inspect(saved(name)).configs
    assert distilled_stride(configs["scheduler"]) == stride


def test_metadata_goes_before_the_name(tmp_path: Path) -> None:
    tiny = checkpoints.sd2()
    path = tiny.save_file(
        tmp_path / "v2-768.safetensors",
        original=True,
        **{"modelspec.prediction_type": "epsilon", "modelspec.resolution": "512x512"},
    )
    info = describe(from_path(path))
    assert (info.prediction, info.size) == ("epsilon", 512)


def test_marks_of_v_prediction_and_of_zero_terminal_noise_are_seen(saved: Any) -> None:
    assert describe(from_path(saved(v_pred=torch.zeros(1)))).prediction == "v_prediction"
    with pytest.raises(ModelError, match="zero terminal SNR"):
        describe(from_path(saved(v_pred=torch.zeros(1), ztsnr=torch.zeros(1))))


def test_the_hash_is_that_of_the_weights_and_of_what_they_are_taken_for(tmp_path: Path) -> None:
    tiny = checkpoints.sd2()

    def hashed(name: str) -> str:
        path = tiny.save_file(tmp_path / name / "m.safetensors", original=False)
        path = path.rename(path.with_name(f"{name}.safetensors"))
        return drain(load(from_path(path), device="cpu", cache_dir=tmp_path)).weights_hash

    assert hashed("one-768") == hashed("another-768") != hashed("a-base")


# --- the tokenizer


def test_the_tokenizer_is_taken_from_another_model(saved: Any, tmp_path: Path) -> None:
    path, other = saved(), tmp_path / "other"
    with pytest.raises(ModelError, match=r"holds no tokenizer.*Add any Stable Diffusion model"):
        drain(load(from_path(path), device="cpu", cache_dir=tmp_path))
    copy_tokenizer(other / "tokenizer")
    model = drain(load(from_path(path), device="cpu", cache_dir=tmp_path, folders=[tmp_path, other]))
    with torch.no_grad():
        assert model.text("a red apple").spans == ((1,), (2,), (3,))


def test_the_tokenizer_is_taken_from_the_hugging_face_cache(
    saved: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    inspected = single_file.inspect(saved())
    for repository in (
        "models--someone--model/snapshots/1/tokenizer",
        "models--openai--clip-vit-large-patch14/snapshots/2",
    ):
        place = tmp_path / "hub" / repository
        copy_tokenizer(place)
        assert inspected.with_tokenizers([]).tokenizers == {"tokenizer": place}


def test_a_tokenizer_of_another_size_is_passed_over(saved: Any, tmp_path: Path) -> None:
    other = tmp_path / "other" / "tokenizer"
    copy_tokenizer(other)
    words = json.loads((other / "vocab.json").read_text())
    (other / "vocab.json").write_text(json.dumps(dict(list(words.items())[:-10])))
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "vocab.json").write_text("[")
    with pytest.raises(ModelError, match="holds no tokenizer"):
        single_file.inspect(saved()).with_tokenizers([tmp_path / "other"])


# --- what cannot be


@pytest.mark.parametrize("keep", [0, 4, 100, -1, -1000])
def test_a_truncated_file_is_one_sentence(saved: Any, keep: int) -> None:
    path = saved()
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelError, match="cut short or is no safetensors"):
        describe(from_path(path))


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04" + bytes(100),
        b"\x80\x02}q\x00.",
        b"\xff" * 64,
        struct.pack("<Q", 2) + b"[]",
        b"not a model",
    ],
)
def test_what_is_no_safetensors_file_is_one_sentence(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(ModelError, match="cut short or is no safetensors"):
        describe(from_path(path))


def test_a_file_that_is_gone_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="neither a known name nor a file"):
        describe(from_path(tmp_path / "gone.safetensors"))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"double_blocks.0.img_attn.norm.key_norm.scale": (8,), "guidance_in.in_layer.bias": (8,)}, "FLUX"),
        (
            {
                "model.diffusion_model.joint_blocks.0.context_block.adaLN_modulation.1.bias": (8,),
                "model.diffusion_model.pos_embed": (1, 36864, 8),
                "model.diffusion_model.x_embedder.proj.weight": (8, 16, 2, 2),
            },
            "Stable Diffusion 3",
        ),
        ({"conditioner.embedders.0.model.transformer.resblocks.9.mlp.c_proj.bias": (8,)}, "SDXL refiner"),
        ({"control_model.time_embed.0.weight": (8, 8)}, "ControlNet"),
        ({"lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight": (4, 8)}, "a LoRA"),
        ({"unet.down_blocks.0.attentions.0.attn1.to_q.lora_A.weight": (4, 8)}, "a LoRA"),
        ({"edm_mean": (4,), "edm_std": (4,)}, "Playground"),
        ({"some.weight": (4,)}, "holds no U-Net"),
        ({"head.modulation": (1, 2, 1536), "patch_embedding.weight": (1536, 16, 1, 2, 2)}, "family 'wan"),
    ],
)
def test_another_family_is_named(tmp_path: Path, keys: dict[str, tuple[int, ...]], said: str) -> None:
    path = tmp_path / "model.safetensors"
    save_file({key: torch.zeros(shape) for key, shape in keys.items()}, path)
    with pytest.raises(ModelError, match=said):
        describe(from_path(path))


@pytest.mark.parametrize(
    ("drop", "said"),
    [
        ("model.diffusion_model.", "no U-Net"),
        ("first_stage_model.", "no autoencoder"),
        ("cond_stage_model.", "no text encoder"),
        ("model.diffusion_model.middle_block.1.", "lacks weights"),
        ("first_stage_model.decoder.conv_in.", "lacks weights"),
    ],
)
def test_a_missing_part_is_named(saved: Any, drop: str, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        describe(from_path(saved(drop=drop)))


def test_a_missing_weight_is_one_sentence(saved: Any, tmp_path: Path) -> None:
    copy_tokenizer(tmp_path / "tokenizer")
    path = saved(drop="model.diffusion_model.out.2.bias")
    with pytest.raises(ModelError, match=r"unet.*do not fit"):
        drain(load(from_path(path), device="cpu", cache_dir=tmp_path))
    assert "model.diffusion_model.out.2.bias" not in load_file(path)
