"""`sfumato control`, and edits under a control image."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diffusers import ControlNetModel, UNet2DConditionModel
from PIL import Image

from sfumato.files.images import read_recipe

Run = Callable[..., Any]
UNET = Path(str(files("sfumato_resources"))) / "starter" / "unet"


@pytest.fixture
def network(run: Run) -> Path:
    """A ControlNet made for the starter model, in this folder; it says nothing yet."""
    unet: Any = UNet2DConditionModel.from_config(json.loads((UNET / "config.json").read_text()))
    size = 2 ** (len(json.loads((UNET.parent / "vae" / "config.json").read_text())["block_out_channels"]) - 1)
    channels = (8, 16, 24, 32)[: size.bit_length()]
    ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=channels).save_pretrained("edges")
    return Path("edges")


def test_a_control_picture_is_written_at_the_pictures_size(run: Run) -> None:
    result = run("control", "in.png", "-o", "edges.png", "--set", "low=20", "--set", "high=60")
    assert (result.exit_code, result.stdout) == (0, "Wrote edges.png\n")
    with Image.open("edges.png") as image:
        assert image.size == (144, 128)
        assert set(np.unique(np.array(image.convert("L")))) == {0, 255}


def test_another_kind_gives_another_picture(run: Run) -> None:
    assert (
        run(
            "control", "in.png", "--preprocessor", "segmentation", "--set", "colours=3", "-o", "a.png"
        ).exit_code
        == 0
    )
    with Image.open("a.png") as image:
        assert len(np.unique(np.array(image.convert("RGB")).reshape(-1, 3), axis=0)) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--preprocessor", "magic", "-o", "a.png"), "There is no preprocessor 'magic'"),
        (("--set", "much=1", "-o", "a.png"), "no parameter 'much'"),
        (("--set", "low=x", "-o", "a.png"), "'low' cannot be 'x'"),
        (("-o", "a.ora"), "end the name in .png"),
    ],
)
def test_what_cannot_be_made_is_one_sentence(run: Run, words: tuple[str, ...], said: str) -> None:
    result = run("control", "in.png", *words)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert said in result.stderr


def test_preprocessors_are_listed_with_their_parameters(run: Run) -> None:
    assert "  soft_edge " in run("methods").stdout.split("Ways to make a control image:")[1]
    text = run("methods", "canny").stdout
    assert text.startswith("canny (preprocessor): ")
    assert "low = 100  (whole number, 0 to 1000)" in text


def test_an_edit_without_a_control_net_says_what_is_missing(run: Run, edit: Run) -> None:
    result = edit("--method", "controlnet", "--set", "network=")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "needs a ControlNet" in result.stderr


def test_the_starter_brings_its_control_net(edit: Run) -> None:
    result = edit("--method", "controlnet", "--inverter", "")
    assert result.exit_code == 0, result.output
    saved = read_recipe("out.png")
    assert saved is not None
    assert saved.recipe.editor_values == {"network": "starter_control"}


def test_an_edit_under_control_is_kept_with_all_that_made_it(run: Run, edit: Run, network: Path) -> None:
    words = "--method", "controlnet", "--inverter", "", "--set", f"network={network}"
    assert edit(*words, "--preprocessor", "scribble", "--set-preprocessor", "thickness=3").exit_code == 0
    saved = read_recipe("out.png")
    assert saved is not None
    assert saved.recipe.editor_values == {"network": str(network.resolve())}
    assert saved.recipe.preprocessor == "scribble"
    assert saved.recipe.preprocessor_values == {"thickness": 3}
    assert saved.provenance["preprocessor"]["name"] == "scribble"
    assert len(saved.provenance["networks"]) == 1
    assert run("recipe", "replay", "out.png", "--picture", "in.png").stdout == "out.png: identical\n"


def test_a_replay_asks_for_the_control_image_of_the_first_run(run: Run, edit: Run, network: Path) -> None:
    assert run("control", "in.png", "-o", "lines.png").exit_code == 0
    words = "--method", "controlnet", "--inverter", "", "--set", f"network={network}"
    assert edit(*words, "--control", "lines.png").exit_code == 0
    replay = "recipe", "replay", "out.png", "--picture", "in.png"
    assert "name it with --control" in run(*replay).stderr
    assert "not the control image" in run(*replay, "--control", "in.png").stderr
    assert run(*replay, "--control", "lines.png").stdout == "out.png: identical\n"
