"""LoRAs, embeddings and autoencoders: what they change exactly, that it comes off, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from sfumato.errors import ModelError
from sfumato.method import Recipe
from sfumato.models.additions import put_on
from sfumato.models.catalogue import Additions
from tests.core.sources.files import (
    ALPHA,
    FORMS,
    RANK,
    kohya,
    matrices,
    network,
    peft,
    state_hash,
    written,
)
from tests.tiny import drain, tiny_model

STRENGTH = 0.8


@pytest.fixture(scope="module")
def own_model() -> Any:
    """Not the shared one: these tests change weights."""
    return tiny_model()


@pytest.fixture
def model(own_model: Any) -> Iterator[Any]:
    before = state_hash(own_model)
    yield own_model
    assert state_hash(own_model) == before, "the model did not come back as it went"


@pytest.fixture
def added(model: Any, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Put additions on the model until the test ends."""
    taken_off: list[Callable[[], None]] = []

    def add(**values: Any) -> None:
        taken_off.append(drain(put_on(Additions(**values), model, cache_dir=tmp_path / "cache")))

    yield add
    for take_off in reversed(taken_off):
        take_off()


def changed_by_hand(model: Any, changes: list[tuple[Any, float]]) -> dict[tuple[str, str], torch.Tensor]:
    """W + sum s alpha / r B A for every layer."""
    weights: dict[tuple[str, str], torch.Tensor] = {}
    for found, strength in changes:
        for (part, name), (A, B) in found.items():
            weight = weights.get((part, name), network(model, part).get_submodule(name).weight)
            delta = torch.einsum("orij,rckl->ockl", B, A) if A.dim() == 4 else B @ A
            weights[part, name] = weight + strength * ALPHA / RANK * delta
    return weights


def outputs(model: Any) -> torch.Tensor:
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        return model.unet(noise, 500, model.text("a cat").embeddings).sample


def assert_same_as(model: Any, weights: dict[tuple[str, str], torch.Tensor], added_output: Any) -> None:
    """Write the weights into the bare model, run it, and put the old ones back."""
    old = {}
    for (part, name), weight in weights.items():
        parameter = network(model, part).get_submodule(name).weight
        old[part, name] = parameter.detach().clone()
        parameter.data.copy_(weight)
    model.altered(model.weights_hash)
    expected = outputs(model)
    for (part, name), weight in old.items():
        network(model, part).get_submodule(name).weight.data.copy_(weight)
    model.altered(model.weights_hash)
    torch.testing.assert_close(added_output, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_a_lora_adds_its_product_in_every_form(model: Any, tmp_path: Path, form: str) -> None:
    found, plain = matrices(model), outputs(model)
    tensors = FORMS[form](found)
    if form == "processors":
        found = {key: value for key, value in found.items() if "attn" in key[1] and key[0] == "unet"}
    path = written(tmp_path / "style.safetensors", tensors)
    take_off = drain(put_on(Additions(loras=((path, STRENGTH),)), model, cache_dir=tmp_path))
    with_lora = outputs(model)
    take_off()
    assert not torch.allclose(with_lora, plain, atol=1e-3)
    assert torch.equal(outputs(model), plain)
    assert_same_as(model, changed_by_hand(model, [(found, STRENGTH)]), with_lora)


def test_several_loras_add_up(model: Any, tmp_path: Path) -> None:
    first, second = matrices(model, 0), matrices(model, 1)
    loras = (
        (written(tmp_path / "a.safetensors", kohya(first)), 0.5),
        (written(tmp_path / "b.safetensors", peft(second)), -0.7),
    )
    take_off = drain(put_on(Additions(loras=loras), model, cache_dir=tmp_path))
    with_both = outputs(model)
    take_off()
    assert_same_as(model, changed_by_hand(model, [(first, 0.5), (second, -0.7)]), with_both)


def test_ours_reads_the_trainers_names_as_diffusers_does(model: Any) -> None:
    from diffusers.loaders.lora_conversion_utils import _convert_non_diffusers_lora_to_diffusers

    from sfumato.models.lora import _MATRIX, _layers, _place

    tensors = kohya({key: value for key, value in matrices(model).items() if "attn" in key[1]})
    flat = {"unet": {name.replace(".", "_"): name for name, _ in _layers(model.unet)}, "text 0": {}}
    flat["text 0"] = {name.replace(".", "_"): name for name, _ in _layers(model.encoders[0])}
    ours = {_place(key.split(".")[0], flat) for key in tensors}
    theirs, _ = _convert_non_diffusers_lora_to_diffusers(dict(tensors))
    assert len(ours) == 3
    assert ours == {_place(match["layer"], flat) for key in theirs if (match := _MATRIX.fullmatch(key))}


def test_the_block_names_of_the_original_code_are_read(model: Any, tmp_path: Path) -> None:
    from sfumato.models.lora import read_lora

    tensors = kohya({key: value for key, value in matrices(model).items() if "attn1" in key[1]})
    renamed = {key.replace("down_blocks_0_attentions_0", "input_blocks_1_1"): t for key, t in tensors.items()}
    assert renamed.keys() != tensors.keys()
    lora = read_lora(Path(written(tmp_path / "a.safetensors", renamed)), model)
    assert list(lora.changes["unet"]) == ["down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"]


def test_additions_are_part_of_what_the_model_is(model: Any, added: Any, tmp_path: Path) -> None:
    path = written(tmp_path / "a.safetensors", kohya(matrices(model)))
    hashes = {model.weights_hash}
    for strength in (0.5, 0.8):
        take_off = drain(put_on(Additions(loras=((path, strength),)), model, cache_dir=tmp_path))
        hashes.add(model.weights_hash)
        take_off()
    other = written(tmp_path / "b.safetensors", kohya(matrices(model, 3)))
    added(loras=((other, 0.5),))
    assert len(hashes | {model.weights_hash}) == 4


def test_a_word_of_several_vectors_stands_where_it_is_written(model: Any, added: Any, tmp_path: Path) -> None:
    vectors = torch.randn(3, 16)
    added(embeddings=(written(tmp_path / "x.safetensors", {"<toy>": vectors}),))
    with torch.no_grad():
        text = model.text("a <toy> on the grass")
        plain = model.text("a cat on the grass")
    assert text.tokens_of("toy") == (2, 3, 4)
    assert text.tokens_of("on") == (5,)
    assert text.length == plain.length
    assert text.ids[5:] == plain.ids[3:]
    table = model.encoders[0].get_input_embeddings().weight
    assert torch.equal(table[list(text.ids[2:5])], vectors)


def test_other_prompts_are_encoded_as_before(model: Any, added: Any, tmp_path: Path) -> None:
    with torch.no_grad():
        before = model.text("a cat, on the grass").embeddings
        added(embeddings=(written(tmp_path / "x.safetensors", {"<toy>": torch.randn(2, 16)}),))
        assert torch.equal(model.text("a cat, on the grass").embeddings, before)


def test_a_file_without_a_word_gives_it_its_name(model: Any, added: Any, tmp_path: Path) -> None:
    added(embeddings=(written(tmp_path / "my-toy.safetensors", {"emb_params": torch.randn(1, 16)}),))
    with torch.no_grad():
        assert model.text("a My-Toy here").tokens_of("my-toy") == (2,)


def test_a_word_that_is_cut_off_leaves_the_end_in_place(model: Any, added: Any, tmp_path: Path) -> None:
    added(embeddings=(written(tmp_path / "x.safetensors", {"<toy>": torch.randn(9, 16)}),))
    with torch.no_grad():
        text = model.text("a <toy> <toy> on the grass")
    assert text.ids[-1] == model.tokenizers[0].eos_token_id
    assert len(text.ids) == text.length == 16
    assert text.tokens_of("toy") == tuple(range(2, 15))
    assert text.spans[-1] == ()


def other_vae(seed: int) -> Any:
    torch.manual_seed(seed)
    vae = tiny_model().vae
    for parameter in vae.parameters():
        parameter.data += torch.randn_like(parameter) / 50
    return vae


@pytest.mark.parametrize("place", ["folder", "repository", "file"])
def test_another_autoencoder_encodes_and_decodes(model: Any, added: Any, tmp_path: Path, place: str) -> None:
    vae, folder = other_vae(7), tmp_path / "other"
    vae.save_pretrained(folder / "vae" if place == "repository" else folder)
    path = folder / "diffusion_pytorch_model.safetensors" if place == "file" else folder
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        own = model.encode(image)
        added(vae=str(path))
        assert not torch.allclose(model.encode(image), own, atol=1e-3)
        expected = vae.encode(image).latent_dist.mean * vae.config.scaling_factor
        torch.testing.assert_close(model.encode(image), expected)
    assert not any(parameter.requires_grad for parameter in model.vae.parameters())


def test_an_autoencoder_in_the_original_names_is_read(model: Any, added: Any, tmp_path: Path) -> None:
    vae = other_vae(7)
    tensors = {_original(key): value for key, value in vae.state_dict().items()}
    added(vae=written(tmp_path / "vae.safetensors", tensors))
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        expected = vae.encode(image).latent_dist.mean * vae.config.scaling_factor
        torch.testing.assert_close(model.encode(image), expected)


def _original(key: str) -> str:
    """The name in the code of Rombach et al. of a two-level autoencoder's weight."""
    for new, old in (
        ("encoder.down_blocks.0.downsamplers.0.conv", "encoder.down.0.downsample.conv"),
        ("decoder.up_blocks.0.upsamplers.0.conv", "decoder.up.1.upsample.conv"),
        ("encoder.down_blocks.", "encoder.down."),
        ("decoder.up_blocks.0.", "decoder.up.1."),
        ("decoder.up_blocks.1.", "decoder.up.0."),
        ("mid_block.resnets.0", "mid.block_1"),
        ("mid_block.resnets.1", "mid.block_2"),
        ("mid_block.attentions.0.group_norm", "mid.attn_1.norm"),
        ("mid_block.attentions.0.to_q", "mid.attn_1.q"),
        ("mid_block.attentions.0.to_k", "mid.attn_1.k"),
        ("mid_block.attentions.0.to_v", "mid.attn_1.v"),
        ("mid_block.attentions.0.to_out.0", "mid.attn_1.proj_out"),
        ("resnets", "block"),
        ("conv_shortcut", "nin_shortcut"),
        ("conv_norm_out", "norm_out"),
    ):
        key = key.replace(new, old)
    return key


def refused(model: Any, tmp_path: Path, said: str, **values: Any) -> None:
    """It is one sentence or two, and the model is what it was."""
    before = state_hash(model)
    with pytest.raises(ModelError, match=said) as told:
        drain(put_on(Additions(**values), model, cache_dir=tmp_path))
    assert "\n" not in str(told.value)
    assert "as it was" in told.value.kept
    assert state_hash(model) == before


def spoiled(tensors: dict[str, torch.Tensor], change: Callable[[str, torch.Tensor], Any]) -> Any:
    return {key: change(key, value) for key, value in tensors.items()}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: {f"lora_unet_nowhere_{k}": v for k, v in t.items()}, "4 of its 4 layers are not in the"),
        (
            lambda t: spoiled(t, lambda k, v: v[:, :1] if "lora_down" in k and v.dim() == 2 else v),
            "is 16 x 1",
        ),
        (lambda t: spoiled(t, lambda k, v: v * float("nan") if "lora_up" in k else v), "no numbers"),
        (lambda t: spoiled(t, lambda k, v: v + float("inf") if "alpha" in k else v), "no numbers"),
        (lambda t: {k: v for k, v in t.items() if "up" not in k or "mid" in k}, "half of the layer"),
        (lambda t: {k.replace("lora_down", "hada_w1_a"): v for k, v in t.items()}, "LoHa"),
        (lambda t: t | {"lora_unet_x.dora_scale": torch.ones(1)}, "DoRA"),
        (lambda t: {"model.diffusion_model.out.2.weight": torch.ones(2)}, "not a LoRA"),
        (lambda t: {}, "empty"),
        (
            lambda t: {
                f"lora_unet_{block}.lora_up.weight": torch.ones(2, 2)
                for block in ("input_blocks_1_1_x", "middle_block_9_x")
            },
            "names this version",
        ),
    ],
)
def test_a_foreign_lora_leaves_the_model_unchanged(
    model: Any, tmp_path: Path, change: Any, said: str
) -> None:
    path = written(tmp_path / "bad.safetensors", change(kohya(matrices(model))))
    refused(model, tmp_path, said, loras=((path, 1.0),))


@pytest.mark.parametrize("cut", [lambda d: d[:1000], lambda d: b"", lambda d: b"\xff" * 8 + d[8:]])
def test_a_damaged_lora_leaves_the_model_unchanged(model: Any, tmp_path: Path, cut: Any) -> None:
    path = tmp_path / "bad.safetensors"
    written(path, kohya(matrices(model)))
    path.write_bytes(cut(path.read_bytes()))
    refused(model, tmp_path, r"bad\.safetensors cannot be read", loras=((str(path), 1.0),))


def test_a_bad_one_takes_the_good_ones_off_with_it(model: Any, tmp_path: Path) -> None:
    good = written(tmp_path / "good.safetensors", kohya(matrices(model)))
    word = written(tmp_path / "word.safetensors", {"<toy>": torch.randn(1, 16)})
    refused(
        model, tmp_path, "There is no LoRA", loras=((good, 1.0), (str(tmp_path / "gone.safetensors"), 1.0))
    )
    refused(model, tmp_path, "same word", loras=((good, 1.0),), embeddings=(word, word))


def test_something_that_breaks_half_way_leaves_the_model_unchanged(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = written(tmp_path / "good.safetensors", kohya(matrices(model)))
    before = state_hash(model)

    def breaks(*_: Any) -> None:
        raise MemoryError

    other_vae(1).save_pretrained(tmp_path / "vae")
    monkeypatch.setattr("sfumato.models.autoencoder.put_on", breaks)
    with pytest.raises(MemoryError):
        drain(put_on(Additions(loras=((good, 1.0),), vae=str(tmp_path / "vae")), model, cache_dir=tmp_path))
    assert state_hash(model) == before


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"<toy>": torch.ones(2, 768)}, "768 numbers, not 16"),
        ({"<toy>": torch.full((2, 16), float("nan"))}, "no numbers"),
        ({"cat": torch.ones(1, 16)}, "has a meaning already"),
        ({"clip_l": torch.ones(1, 16), "clip_g": torch.ones(1, 16)}, "2 text encoders of 1"),
        ({"a": torch.ones(1, 16), "b": torch.ones(1, 16)}, "holds 2 things"),
        ({"<toy>": torch.ones(2, 2, 16)}, "not an embedding"),
    ],
)
def test_a_foreign_embedding_leaves_the_model_unchanged(
    model: Any, tmp_path: Path, tensors: Any, said: str
) -> None:
    refused(model, tmp_path, said, embeddings=(written(tmp_path / "x.safetensors", tensors),))


def test_a_foreign_autoencoder_leaves_the_model_unchanged(model: Any, tmp_path: Path) -> None:
    folder = tmp_path / "vae"
    other_vae(1).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"scaling_factor": 0.13}))
    refused(model, tmp_path, "scaling_factor is 0.13", vae=str(folder))
    refused(model, tmp_path, "no autoencoder in", vae=str(tmp_path.parent))
    lora = written(tmp_path / "lora.safetensors", kohya(matrices(model)))
    refused(model, tmp_path, "does not fit this model", vae=lora)


@pytest.mark.parametrize("name", ["style.ckpt", "style.pt", "style.bin"])
def test_a_pickle_is_never_put_on(model: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    for values in ({"loras": ((name, 1.0),)}, {"embeddings": (name,)}, {"vae": name}):
        refused(model, tmp_path, "not a .safetensors file", **values)


def test_a_lora_of_strength_zero_is_none() -> None:
    assert not Additions.of(Recipe(loras=(("x.safetensors", 0.0),)))
