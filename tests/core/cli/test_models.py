"""`sfumato models` and the options that put something on top of one."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from sfumato.files.images import read_recipe
from sfumato.files.recipe import save_recipe
from tests.core.sources.hub import Hub

Run = Callable[..., Any]
STARTER = Path(str(files("sfumato_resources"))) / "starter"


@pytest.fixture
def mine(run: Run) -> Path:
    """A model in a person's folder, in the folder commands run in."""
    return Path(shutil.copytree(STARTER, "mine")).absolute()


def kept(home: Path) -> dict[str, Any]:
    return json.loads((home / "data" / "settings.json").read_text(encoding="utf-8"))


def test_a_model_is_added_looked_at_preferred_and_forgotten(run: Run, home: Path, mine: Path) -> None:
    assert run("models", "add", "mine").stdout.startswith("Added 'mine' (128 pixels)")
    text = run("models").stdout
    assert text.startswith("starter: ")
    assert f"{mine}: mine, 128 pixels, added by you" in text
    text = run("models", "inspect", "mine").stdout
    for said in ("Family: ", "128 pixels", "SHA-256: ", "unet", "UNet2DConditionModel", "MB"):
        assert said in text
    assert run("models", "default", "mine").exit_code == 0
    assert "used when none is named" in run("models", "list").stdout.split("mine: ")[1]
    assert run("models", "default", "mine", "--steps", 3, "--guidance", 2).stdout.endswith(
        "start with steps 3, guidance 2.\n"
    )
    assert kept(home)["model_defaults"] == {str(mine): {"size": None, "steps": 3, "guidance": 2.0}}
    assert "off the list" in run("models", "remove", "mine", "--files").stdout
    assert (kept(home)["models"], kept(home)["default_model"]) == ([], "")
    assert mine.is_dir()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("inspect", "nothing"), "no model 'nothing'"),
        (("add", "nothing"), "nothing"),
        (("remove", "starter"), "comes with a plug-in"),
        (("default", "starter", "--steps", 0), "steps"),
        (("convert", "in.png"), "no pickled checkpoint"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(run: Run, words: tuple[object, ...], said: str) -> None:
    result = run("models", *words)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert said in result.stderr


def test_a_models_own_defaults_speak_where_nothing_is_said(run: Run, mine: Path) -> None:
    run("models", "add", "mine")
    run("models", "default", "mine")
    run("models", "default", "mine", "--steps", 2, "--guidance", 1.5, "--size", "96x64")
    assert run("generate", "a red apple", "-o", "a.png", "--guidance", 3, "--threads", 1).exit_code == 0
    saved = read_recipe("a.png")
    assert saved is not None
    recipe = saved.recipe
    assert (recipe.model, recipe.steps, recipe.guidance, recipe.size) == (str(mine), 2, 3.0, (96, 64))
    assert run("generate", "a red apple", "-o", "b.png", "--model", "starter", "--steps", 1).exit_code == 0
    saved = read_recipe("b.png")
    assert saved is not None
    own = json.loads((STARTER / "sfumato.json").read_text())
    assert (saved.recipe.guidance, saved.recipe.size) == (own["guidance"], None)


def test_a_models_folder_speaks_where_nobody_does(edit: Run, run: Run, mine: Path) -> None:
    wishes = {"guidance": 2.0, "editors": {"p2p": {"guidance": 1.5, "self_steps": 0.25, "unknown": 1}}}
    (mine / "sfumato.json").write_text(json.dumps(wishes))
    assert edit("--model", "mine", "--set", "threshold=0.5").exit_code == 0
    saved = read_recipe("out.png")
    assert saved is not None
    assert saved.recipe.guidance == 1.5
    assert saved.recipe.editor_values == {"self_steps": 0.25, "threshold": 0.5}
    bare = saved.recipe.model_copy(update={"editor_values": {}})
    save_recipe(saved.model_copy(update={"recipe": bare}), Path("kept.json"))
    assert run("edit", "in.png", "-o", "again.png", "--recipe", "kept.json", "--threads", 1).exit_code == 0
    again = read_recipe("again.png")
    assert again is not None
    assert again.recipe.editor_values == {}


@pytest.fixture
def lora(run: Run) -> Path:
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    config = json.loads((STARTER / "unet" / "config.json").read_text())
    width = config["block_out_channels"][0]
    tensors = {
        f"{name}.lora_down.weight": torch.randn(2, width),
        f"{name}.lora_up.weight": torch.randn(width, 2),
        f"{name}.alpha": torch.tensor(2.0),
    }
    save_file(tensors, "style.safetensors")
    return Path("style.safetensors").absolute()


@pytest.mark.parametrize("strength", ["", ":0.8"])
def test_a_lora_changes_the_picture_and_is_in_its_recipe(
    run: Run, edit: Run, lora: Path, strength: str
) -> None:
    assert edit("-o", "plain.png").exit_code == 0
    assert edit("-o", "styled.png", "--lora", f"style.safetensors{strength}").exit_code == 0
    plain, styled = read_recipe("plain.png"), read_recipe("styled.png")
    assert plain is not None
    assert styled is not None
    assert styled.recipe.loras == ((str(lora), float(strength[1:] or 1)),)
    assert styled.provenance["weights"] != plain.provenance["weights"]
    assert Path("styled.png").read_bytes() != Path("plain.png").read_bytes()
    assert run("recipe", "replay", "styled.png", "--picture", "in.png").stdout == "styled.png: identical\n"


def test_an_embedding_and_an_autoencoder_are_asked_for_by_file(run: Run, edit: Run) -> None:
    config = json.loads((STARTER / "text_encoder" / "config.json").read_text())
    save_file({"emb_params": torch.randn(2, config["hidden_size"])}, "my-toy.safetensors")
    vae = STARTER / "vae"
    result = edit("--target", "a my-toy apple", "--embedding", "my-toy.safetensors", "--vae", vae)
    assert result.exit_code == 0, result.stderr
    saved = read_recipe("out.png")
    assert saved is not None
    assert saved.recipe.embeddings == (str(Path("my-toy.safetensors").absolute()),)
    assert saved.recipe.vae == str(vae)


def test_a_file_that_fits_no_model_is_one_sentence(edit: Run) -> None:
    save_file({"x": torch.ones(1)}, "bad.safetensors")
    for option in ("--lora", "--embedding", "--vae"):
        result = edit(option, "bad.safetensors")
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.stderr
        assert "bad.safetensors" in result.stderr
        assert not Path("out.png").exists()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    contents = {
        path.relative_to(STARTER).as_posix(): path.read_bytes()
        for path in STARTER.rglob("*")
        if path.is_file()
    }
    hub = Hub(repos={"artist/landscapes": contents})
    server = hub.start()
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    yield hub
    server.shutdown()
    server.server_close()


def test_a_download_says_its_size_and_asks(run: Run, hub: Hub, home: Path) -> None:
    declined = run("models", "download", "artist/landscapes")
    assert "MB, commit 89abcdef0123" in declined.stdout
    assert not (home / "data" / "models").exists()
    done = run("models", "download", "artist/landscapes", "--yes")
    assert (done.exit_code, "has the checksum" in done.stdout) == (0, True), done.stderr
    assert "artist/landscapes: landscapes, 128 pixels" in run("models").stdout
    assert run("models", "remove", "artist/landscapes").exit_code == 2
    assert "its files are gone" in run("models", "remove", "artist/landscapes", "--files").stdout
    assert not any((home / "data" / "models").iterdir())


def test_a_conversion_says_where_it_went(run: Run, home: Path) -> None:
    torch.save({"state_dict": {"w": torch.ones(2)}}, "old.ckpt")
    assert "`sfumato models convert`" in run("models", "add", "old.ckpt").stderr
    assert run("models", "convert", "old.ckpt").stdout.strip().endswith("old.safetensors")
    Path("bad.ckpt").write_bytes(pickle.dumps({"w": print}))
    result = run("models", "convert", "bad.ckpt")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "more than weights" in result.stderr
