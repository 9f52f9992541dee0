"""What ships beside the code: samples, the starter model, and the notices that belong to them."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfumato.models.catalogue import Checkpoint
from sfumato_resources import plugin

RESOURCES = Path(str(files("sfumato_resources")))
SAMPLES = RESOURCES / "samples"
INDEX = json.loads((SAMPLES / "index.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("entry", INDEX, ids=lambda entry: entry["file"])
def test_sample_has_a_picture_both_prompts_and_a_credit(entry: dict[str, str]):
    assert set(entry) - {"mask", "editor"} == {"file", "title", "source", "target", "instruction", "credit"}
    assert all(entry.values())
    assert entry["source"] != entry["target"]
    with Image.open(SAMPLES / entry["file"]) as picture:
        picture.load()
        size = picture.size
    if "mask" in entry:
        with Image.open(SAMPLES / entry["mask"]) as mask:
            assert (mask.mode, mask.size) == ("L", size)
            values = np.asarray(mask)
        assert values.max() == 255
        assert 0.005 < np.count_nonzero(values) / values.size < 0.5


def test_one_sample_is_a_photograph_with_a_mask():
    masked = [entry for entry in INDEX if "mask" in entry]
    assert [Path(entry["file"]).suffix for entry in masked] == [".jpg"]


def test_no_sample_file_is_left_over():
    named = {entry[key] for entry in INDEX for key in ("file", "mask") if key in entry}
    assert {path.name for path in SAMPLES.iterdir()} - {"index.json", "__pycache__"} == named


@pytest.mark.parametrize("checkpoint", plugin.register_models(), ids=lambda checkpoint: checkpoint.name)
def test_each_model_is_a_whole_folder_of_safetensors_with_its_card_and_notice(checkpoint: Checkpoint):
    folder = checkpoint.folder
    assert "SHA-256" in (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert (folder / "NOTICE").read_bytes() == (RESOURCES / "starter" / "NOTICE").read_bytes()
    weights = {path.parent.relative_to(folder).as_posix() for path in folder.rglob("*.safetensors")}
    if not (folder / "model_index.json").exists():  # a ControlNet is one network
        assert weights == {"."}
        assert (folder / "config.json").is_file()
        return
    parts = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    for part, (library, _) in ((name, value) for name, value in parts.items() if isinstance(value, list)):
        assert library is None or (folder / part).is_dir()
    assert weights == {"unet", "vae", "text_encoder"}


def test_the_starter_comes_first_and_the_family_is_small():
    family = plugin.register_models()
    assert family[0].name == "starter"
    sizes = [file.stat().st_size for each in family for file in each.folder.rglob("*") if file.is_file()]
    assert sum(sizes) <= 150_000_000


def test_the_notices_of_what_ships_are_there():
    notice = (RESOURCES / "licences" / "fluent-emoji.txt").read_text(encoding="utf-8")
    assert "Copyright (c) Microsoft Corporation" in notice
    assert "The above copyright notice and this permission notice shall be included" in notice
    weights = (RESOURCES / "starter" / "NOTICE").read_text(encoding="utf-8")
    for source in ("Copyright (c) Microsoft Corporation", "scikit-image", "china.jpg", "flower.jpg"):
        assert source in weights
    photo = (RESOURCES / "licences" / "sample-photo.txt").read_text(encoding="utf-8")
    for entry in INDEX:
        assert entry["file"] in (photo if "mask" in entry else notice)
