"""Structure distance and CLIP score on networks small enough to make up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional
from torchmetrics.functional.multimodal import clip_score
from transformers import (
    AutoTokenizer,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    Dinov2Config,
    Dinov2Model,
    ViTConfig,
    ViTModel,
)

from sfumato.benchmark.networks import Clip, load_clip, load_structure, self_similarity
from sfumato.errors import ModelError
from tests.checkpoints import VOCABULARY, copy_tokenizer

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


def picture(seed: int, height: int = 40, width: int = 64) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return coarse.repeat(8, 0).repeat(8, 1)


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("vit")
    ViTModel(ViTConfig(**SMALL, intermediate_size=32, image_size=32, patch_size=16)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("clip")
    text = {"vocab_size": VOCABULARY, "max_position_embeddings": 12, "eos_token_id": VOCABULARY - 1}
    vision = {"image_size": 32, "patch_size": 8}
    both = SMALL | {"intermediate_size": 32}
    CLIPModel(
        CLIPConfig(text_config=both | text, vision_config=both | vision, projection_dim=8)
    ).save_pretrained(folder)
    copy_tokenizer(folder)
    size = {"height": 32, "width": 32}
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=size).save_pretrained(folder)
    return folder


@pytest.fixture
def clip(clip_folder: Path, tmp_path: Path) -> Clip:
    return load_clip(clip_folder, "cpu", tmp_path)


@pytest.mark.parametrize("as_published", [True, False])
def test_structure_is_the_same_of_a_picture_and_itself(vit: Path, tmp_path: Path, as_published: bool) -> None:
    structure = load_structure(vit, "cpu", tmp_path)
    a, b = picture(1), picture(2)
    assert structure.distance(a, a, as_published=as_published) == 0
    far = structure.distance(a, b, as_published=as_published)
    assert far > 0
    assert structure.distance(b, a, as_published=as_published) == pytest.approx(far)
    assert structure.name.startswith(vit.name)


def test_the_published_distance_is_of_numbers_from_0_to_255(vit: Path, tmp_path: Path) -> None:
    """A picture of the size the network sees, so that nothing is resampled: only the scale differs."""
    structure = load_structure(vit, "cpu", tmp_path)
    a, b = picture(1, 224, 224), picture(2, 224, 224)

    def keys(pixels: np.ndarray, scale: float) -> torch.Tensor:
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        prepared = ((torch.from_numpy(pixels.astype(np.float32)) / scale - mean) / std).permute(2, 0, 1)[None]
        seen: list[torch.Tensor] = []
        layer = structure.model.get_submodule(
            next(name for name, _ in structure.model.named_modules() if ".1." in name and "k_proj" in name)
        )
        with torch.no_grad(), layer.register_forward_hook(lambda *given: seen.append(given[2])):
            structure.model(pixel_values=prepared, interpolate_pos_encoding=True)
        return seen[0][0]

    for as_published, scale in ((True, 1.0), (False, 255.0)):
        first, second = (functional.normalize(keys(each, scale), dim=1) for each in (a, b))
        expected = functional.mse_loss(first @ first.T, second @ second.T)
        assert first.shape[0] == (224 // 16) ** 2 + 1, "the class token counts"
        assert structure.distance(a, b, as_published=as_published) == pytest.approx(float(expected), rel=1e-4)


def test_self_similarity_is_a_cosine() -> None:
    keys = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0], [0.0, 0.0]])
    expected = torch.tensor([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]])
    assert torch.allclose(self_similarity(keys), expected)


def test_a_dinov2_will_do(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = Dinov2Config(**SMALL, mlp_ratio=2, image_size=28, patch_size=14)
    Dinov2Model(config).save_pretrained(tmp_path / "dino")
    structure = load_structure(tmp_path / "dino", "cpu", tmp_path)
    assert structure.distance(picture(1), picture(1), as_published=False) == 0
    assert structure.distance(picture(1), picture(2), as_published=False) > 0


class _Tensors:
    """A CLIP model as torchmetrics knows it: features are tensors, not a record that holds one."""

    def __init__(self, model: Any) -> None:
        self.model, self.config = model, model.config

    def to(self, device: Any) -> _Tensors:
        return self

    def get_image_features(self, *given: Any) -> torch.Tensor:
        return self.model.get_image_features(*given).pooler_output

    def get_text_features(self, *given: Any) -> torch.Tensor:
        return self.model.get_text_features(*given).pooler_output


@pytest.mark.parametrize("seed", range(4))
def test_clip_scores_agree_with_torchmetrics(clip: Clip, clip_folder: Path, seed: int) -> None:
    processor = CLIPProcessor(
        CLIPImageProcessorPil.from_pretrained(clip_folder), AutoTokenizer.from_pretrained(clip_folder)
    )
    pixels, text = picture(seed), "a red apple"
    theirs = clip_score(
        torch.from_numpy(pixels).permute(2, 0, 1),
        text,
        model_name_or_path=lambda: (_Tensors(clip.model), processor),  # pyright: ignore[reportArgumentType]
    )
    assert clip.similarity(pixels, text) == pytest.approx(float(theirs), abs=1e-3)


def test_clip_scores_are_never_negative_and_long_prompts_are_cut(
    clip: Clip, clip_folder: Path, tmp_path: Path
) -> None:
    texts = ["a red apple", "a dog on the grass", "a house at night", "a dog " * 40]
    contrary = load_clip(clip_folder, "cpu", tmp_path)
    with torch.no_grad():
        contrary.model.text_projection.weight.neg_()
    for text in texts:
        for seed in range(4):
            scores = [each.similarity(picture(seed), text) for each in (clip, contrary)]
            assert min(scores) == 0 < max(scores) <= 100, "what fits one fits the other as little as can be"


@pytest.mark.parametrize("load", [load_structure, load_clip])
def test_a_folder_that_holds_no_network_is_refused(tmp_path: Path, load: Any) -> None:
    with pytest.raises(ModelError, match="There is no folder"):
        load(tmp_path / "nowhere", "cpu", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="cannot be read"):
        load(tmp_path / "empty", "cpu", tmp_path)


def test_pickled_weights_are_not_opened(vit: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    folder.mkdir()
    (folder / "config.json").write_text((vit / "config.json").read_text())
    torch.save(ViTModel.from_pretrained(vit).state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        load_structure(folder, "cpu", tmp_path)


def test_a_network_of_another_kind_is_not_filled_up_with_random_weights(vit: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot be read.*missing"):
        load_clip(vit, "cpu", tmp_path)


def test_a_network_without_attention_has_no_keys(tmp_path: Path) -> None:
    from transformers import ResNetConfig, ResNetModel

    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], layer_type="basic")
    ResNetModel(config).save_pretrained(tmp_path / "resnet")
    assert json.loads((tmp_path / "resnet" / "config.json").read_text())["model_type"] == "resnet"
    with pytest.raises(ModelError, match="no vision transformer"):
        load_structure(tmp_path / "resnet", "cpu", tmp_path)


def test_a_network_that_reads_is_no_eye(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=32, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    BertModel(config).save_pretrained(tmp_path / "bert")
    with pytest.raises(ModelError, match="no vision transformer"):
        load_structure(tmp_path / "bert", "cpu", tmp_path)
