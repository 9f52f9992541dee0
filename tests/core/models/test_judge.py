"""The network that reads pictures: what is saved is what is loaded, and nothing else is."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sfumato.benchmark.judge import Expected, Reading, agrees, load_reader
from sfumato.errors import ModelError
from sfumato.models.judge import CONFIG, WEIGHTS, Judge, Words, load_judge, save_judge

WORDS = Words(("cat", "dog"), ("red",), ("white", "at night"), ("beside", "small left"))


@pytest.fixture
def judge() -> Judge:
    torch.manual_seed(0)
    made = Judge((8,) * 5, WORDS)
    made.load_state_dict({name: tensor.half().float() for name, tensor in made.state_dict().items()})
    return made


@pytest.fixture
def folder(judge: Judge, tmp_path: Path) -> Path:
    save_judge(judge, tmp_path / "judge")
    return tmp_path / "judge"


def pictures(side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, side, side, 3), np.uint8)


@pytest.mark.parametrize("side", [128, 96])
def test_a_loaded_judge_reads_as_the_saved_one(judge: Judge, folder: Path, side: int) -> None:
    loaded = load_reader(folder)
    readings = loaded.read(pictures(side))
    assert len(readings) == 40
    assert readings == judge.read(pictures(side))
    for reading in readings:
        assert set(reading.objects) <= {"cat", "dog", None}
        assert reading.background in WORDS.backgrounds
        assert reading.layout in WORDS.layouts


def test_other_weights_have_another_name(folder: Path) -> None:
    before = load_judge(folder).name
    save_judge(Judge((8,) * 5, WORDS), folder)
    assert load_judge(folder).name != before


def test_what_is_no_judge_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no reader"):
        load_judge(tmp_path)
    (folder / WEIGHTS).write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot be read"):
        load_judge(folder)
    save_judge(Judge((8,) * 5, WORDS), folder)
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, "objects": ["cat"]}))
    with pytest.raises(ModelError, match="do not fit"):
        load_judge(folder)


def test_all_that_is_expected_must_be_seen() -> None:
    seen = Reading(("cat", "dog"), ("red", None), "at night", "beside")
    right = [
        Expected("object", "dog", 1),
        Expected("colour", "red"),
        Expected("background", "at night"),
        Expected("layout", "beside"),
        Expected("absent", "fox"),
    ]
    assert agrees(right, seen)
    for wrong in (Expected("object", "dog"), Expected("absent", "cat"), Expected("layout", "on")):
        assert not agrees([*right, wrong], seen)
