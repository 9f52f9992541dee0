"""Model folders are a stranger's: what is unsafe, incomplete or foreign is one sentence; nothing is run."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch

from sfumato.errors import ModelError
from sfumato.method import Ability
from sfumato.models.catalogue import Checkpoint, from_folder
from sfumato.models.folder import inspect
from sfumato.models.inspection import describe
from sfumato.models.loading import load
from tests.checkpoints import copy_model
from tests.tiny import drain

STARTER = Path(str(files("sfumato_resources"))) / "starter"
PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the starter model; its large files are links, so replace them, never write into them."""
    return copy_model(STARTER, tmp_path / "model")


def change(path: Path, **values: Any) -> None:
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(config | values), encoding="utf-8")


def load_all(folder: Path, cache: Path, **options: Any) -> Any:
    return drain(load(from_folder(folder), cache_dir=cache, **{"device": "cpu", **options}))


def test_the_starter_is_described_without_being_loaded(folder: Path) -> None:
    info = describe(Checkpoint("starter", "Starter", folder, note="small"))
    assert (info.name, info.size, info.multiple, info.note) == ("starter", 128, 16, "small")
    assert info.abilities == frozenset(Ability) - {Ability.INSTRUCTIONS}
    assert inspect(folder).variant is None


def test_a_distilled_model_is_not_offered_for_inversion(folder: Path) -> None:
    change(folder / "model_index.json", scheduler=["diffusers", "LCMScheduler"])
    assert Ability.INVERSION not in describe(from_folder(folder)).abilities


def test_it_loads_frozen_in_float32_with_rising_progress(folder: Path, tmp_path: Path) -> None:
    steps = load(from_folder(folder), cache_dir=tmp_path, device="cpu")
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            model = end.value
            break
    numbers = [each.step for each in seen]
    assert numbers == sorted(numbers)
    assert {each.total for each in seen} == {max(numbers) + 1}
    assert model.dtype == torch.float32
    assert not model.unet.training
    assert not any(parameter.requires_grad for parameter in model.unet.parameters())
    with torch.no_grad():
        assert model.text("a red apple").spans == ((1,), (2,), (3,))


def test_loading_says_nothing(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_all(folder, tmp_path)
    assert capfd.readouterr() == ("", "")


def test_the_hash_is_that_of_the_content(folder: Path, tmp_path: Path) -> None:
    first = load_all(folder, tmp_path).weights_hash
    assert load_all(STARTER, tmp_path).weights_hash == first
    assert load_all(folder, tmp_path / "new").weights_hash == first
    assert json.loads((tmp_path / "fingerprints.json").read_text())
    change(folder / "scheduler" / "scheduler_config.json", beta_end=0.013)
    assert load_all(folder, tmp_path).weights_hash != first


def test_precision_is_that_of_the_network(folder: Path, tmp_path: Path) -> None:
    assert load_all(folder, tmp_path, precision="bf16").dtype == torch.bfloat16


class Bomb:
    """Writes a file if it is ever unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return Path.write_text, (self.trace, "boom")


@pytest.mark.parametrize("name", ["unet/diffusion_pytorch_model.bin", "model.ckpt", "vae/x.pt", "a/b/c.pth"])
def test_pickles_are_refused_by_name_and_never_opened(folder: Path, tmp_path: Path, name: str) -> None:
    trace, path = tmp_path / "trace", folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(ModelError, match=f"pickled weights.*{Path(name).name}"):
        load_all(folder, tmp_path)
    assert not trace.exists()


def test_program_code_is_refused_by_name(folder: Path) -> None:
    (folder / "unet" / "pipeline.py").write_text("raise SystemExit")
    with pytest.raises(ModelError, match=r"program code \(unet/pipeline.py\)"):
        inspect(folder)


@pytest.mark.parametrize("key", ["auto_map", "custom_pipeline"])
def test_a_config_that_wants_code_is_refused(folder: Path, key: str) -> None:
    change(folder / "unet" / "config.json", **{key: "evil"})
    with pytest.raises(ModelError, match=f"run code of its own.*{key}"):
        inspect(folder)


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_folder_is_named(folder: Path, part: str) -> None:
    shutil.rmtree(folder / part)
    with pytest.raises(ModelError, match=f"lacks a part.*'{part}'"):
        inspect(folder)


@pytest.mark.parametrize(
    "name",
    [
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
        "vae/config.json",
        "tokenizer/tokenizer_config.json",
        "scheduler/scheduler_config.json",
    ],
)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"lacks a part.*{name}"):
        inspect(folder)


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ({"text_encoder_2": ["transformers", "CLIPTextModelWithProjection"]}, "'text_encoder_2' is missing"),
        ({"transformer": ["diffusers", "FluxTransformer2DModel"]}, "FLUX.*yet"),
        ({"vae": ["diffusers", "AutoencoderTiny"]}, "AutoencoderTiny.*AutoencoderKL only"),
        ({"unet": [None, None]}, "names no unet"),
        ({"unet": ["diffusers"]}, "unet"),
    ],
)
def test_another_family_is_named(folder: Path, index: dict[str, Any], said: str) -> None:
    change(folder / "model_index.json", **index)
    with pytest.raises(ModelError, match=said):
        inspect(folder)


@pytest.mark.parametrize(
    ("part", "values", "said"),
    [
        ("unet", {"in_channels": 7}, "7 channels"),
        ("unet", {"cross_attention_dim": 768}, "does not fit"),
        ("unet", {"addition_embed_type": "text_time"}, "addition_embed_type"),
        ("unet", {"sample_size": [16, 32]}, "not square"),
        ("vae", {"latent_channels": None}, "latent_channels"),
    ],
)
def test_parts_that_do_not_fit_are_named(folder: Path, part: str, values: dict[str, Any], said: str) -> None:
    change(folder / part / "config.json", **values)
    with pytest.raises(ModelError, match=said):
        inspect(folder)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b" " * (5 * 1024**2)])
def test_a_config_that_is_none_is_a_sentence(folder: Path, data: bytes) -> None:
    (folder / "vae" / "config.json").write_bytes(data)
    with pytest.raises(ModelError, match=r"vae/config\.json"):
        inspect(folder)


def rewritten(folder: Path, name: str, change_bytes: Callable[[bytes], bytes]) -> None:
    path = folder / name
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(change_bytes(data))


@pytest.mark.parametrize("change_bytes", [lambda d: d[:1000], lambda d: b"", lambda d: b"\xff" * 8 + d[8:]])
def test_damaged_weights_are_a_sentence(folder: Path, tmp_path: Path, change_bytes: Any) -> None:
    rewritten(folder, "unet/diffusion_pytorch_model.safetensors", change_bytes)
    with pytest.raises(ModelError, match=r"unet.*cannot be read"):
        load_all(folder, tmp_path)


def test_weights_of_another_shape_or_missing_ones_are_a_sentence(folder: Path, tmp_path: Path) -> None:
    change(folder / "unet" / "config.json", block_out_channels=[96, 288])
    with pytest.raises(ModelError, match="unet"):
        load_all(folder, tmp_path)
    change(folder / "unet" / "config.json", block_out_channels=[96, 192], layers_per_block=2)
    with pytest.raises(ModelError, match="unet"):
        load_all(folder, tmp_path)


@pytest.mark.parametrize(("name", "said"), [("gone", "neither"), ("notes.txt", r"no \.safetensors")])
def test_what_is_no_folder_is_a_sentence(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "notes.txt").write_bytes(b"")
    with pytest.raises(ModelError, match=said):
        inspect(tmp_path / name)


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model_index\.json"):
        inspect(tmp_path)


def test_a_device_this_machine_lacks_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot compute on"):
        load_all(folder, tmp_path, device="mps" if torch.cuda.is_available() else "cuda")
