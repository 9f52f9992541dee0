"""Folders of cases: what is written comes back, and what is wrong is said and skipped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato.benchmark.cases import load_pictures
from sfumato.benchmark.folder import read_cases, write_cases
from sfumato.benchmark.judge import Expected, Reading, agrees
from sfumato.errors import InputError
from tests.core.benchmark.conftest import SIDE, drawn

Spoil = Callable[[dict[str, Any]], None]


def edit_mapping(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "mapping_file.json"
    entries = json.loads(path.read_text())
    change(entries)
    path.write_text(json.dumps(entries))


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    made = [drawn(k, str(k), world={"seed": k}) for k in (1, 9)]
    bare = replace(drawn(3, blended=None, mask=None, expected=(), instruction=""), truth=None)
    write_cases(tmp_path, [*made, bare], {"9": "other style"})
    found = read_cases(tmp_path)
    assert not found.refused
    assert [found.type_of(kind) for kind in ("1", "9", "12", "")] == [
        "change object",
        "other style",
        "type 12",
        "no type",
    ]
    for case, original in zip(found.cases, [*made, bare], strict=True):
        places = {"picture": case.picture, "truth": case.truth}
        assert case == replace(original.case, **places)
        pictures = load_pictures(case)
        assert np.array_equal(pictures.source, original.source)
        assert (pictures.truth is None) == (original.truth is None)
        if pictures.truth is not None and original.truth is not None:
            assert np.array_equal(pictures.truth, original.truth)


def test_the_published_form_is_read(tmp_path: Path) -> None:
    """As PIE-Bench's own entries look, its folder within `data`."""
    data = tmp_path / "data"
    place = data / "annotation_images" / "1_change_object_80" / "1_artificial" / "1_animal"
    place.mkdir(parents=True)
    Image.new("RGB", (8, 6), "gray").save(place / "111000000000.jpg")
    entry = {
        "image_path": "1_change_object_80/1_artificial/1_animal/111000000000.jpg",
        "original_prompt": "a [cat] sitting next to a mirror",
        "editing_prompt": "a [silver dog] sitting next to a mirror",
        "editing_instruction": "Replace the cat with a silver dog",
        "editing_type_id": "1",
        "blended_word": "cat dog",
        "mask": [9, 4, 17, 100],
    }
    (data / "mapping_file.json").write_text(json.dumps({"111000000000": entry}))
    (case,) = read_cases(tmp_path).cases
    assert (case.source, case.target) == (
        "a cat sitting next to a mirror",
        "a silver dog sitting next to a mirror",
    )
    assert (case.kind, case.blended, case.size) == ("1", ("cat", "dog"), (8, 6))
    assert case.area is not None
    assert case.area.sum() == 4 + (48 - 17)


def test_pictures_with_prompts_alone_are_cases(tmp_path: Path) -> None:
    Image.new("RGB", (8, 6)).save(tmp_path / "mine.png")
    entry = {"image_path": "mine.png", "original_prompt": "a cat", "editing_prompt": "a dog"}
    (tmp_path / "mapping_file.json").write_text(json.dumps({"mine": entry}))
    (case,) = read_cases(tmp_path).cases
    assert (case.mask, case.truth, case.blended, case.kind) == (None, None, None, "")


def _turned(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 6)).save(folder / "mine.jpg", exif=exif)


def test_a_picture_is_as_large_as_it_is_shown(tmp_path: Path) -> None:
    _turned(tmp_path)
    entry = {"image_path": "mine.jpg", "original_prompt": "a cat", "editing_prompt": "a dog"}
    (tmp_path / "mapping_file.json").write_text(json.dumps({"mine": entry}))
    (case,) = read_cases(tmp_path).cases
    assert case.size == (6, 8)
    assert load_pictures(case).source.shape == (8, 6, 3)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"image_path": "nowhere.png"}, "nowhere.png is missing"),
    ({"image_path": None}, "image_path is missing"),
    ({"image_path": ""}, "picture has no name"),
    ({"image_path": "../../secret.png"}, "outside the folder"),
    ({"image_path": "long" * 1500}, "cannot be looked up"),
    ({"image_path": "a\0b.png"}, "is missing"),
    ({"truth_path": "long" * 1500}, "cannot be looked up"),
    ({"editing_type_id": ["1"]}, "neither a text nor a number"),
    ({"editing_type_id": True}, "neither a text nor a number"),
    ({"image_path": "/etc/passwd"}, "outside the folder"),
    ({"truth_path": "nowhere.png"}, "true edited picture nowhere.png is missing"),
    ({"original_prompt": 7}, "original_prompt is not a text"),
    ({"original_prompt": "half \ud800"}, "original_prompt is damaged"),
    ({"editing_type_id": "\ud800"}, "editing_type_id is damaged"),
    ({"mask": [0, 1, 2]}, "3 numbers"),
    ({"mask": [SIDE * SIDE, 1]}, "another size"),
    ({"expected": "dog"}, "not a list"),
    ({"expected": [{"what": "smell", "value": "sweet"}]}, "says no attribute"),
    ({"expected": [{"what": ["object"], "value": "dog"}]}, "says no attribute"),
    ({"expected": [{"what": "object", "value": "dog", "thing": 2}]}, "thing 2"),
    ({"expected": [{"what": "object", "value": "dog", "thing": 1.0}]}, "thing 1.0"),
    ({"editing_prompt": "[]", "editing_instruction": None}, "neither what"),
]


@pytest.mark.parametrize(("change", "why"), BAD)
def test_a_bad_case_is_named_and_the_others_are_used(folder: Path, change: dict[str, Any], why: str) -> None:
    edit_mapping(folder, lambda entries: entries["000000000001"].update(change))
    found = read_cases(folder)
    assert [case.id for case in found.cases] == ["000000000000", "000000000002", "000000000003"]
    assert list(found.refused) == ["000000000001"]
    assert why in found.refused["000000000001"]


def test_a_list_of_another_name_may_be_named_itself(folder: Path) -> None:
    entries = json.loads((folder / "mapping_file.json").read_text())
    few = dict(list(entries.items())[:2])
    (folder / "few.json").write_text(json.dumps(few))
    assert [case.id for case in read_cases(folder / "few.json").cases] == list(few)


def test_ids_and_fields_that_are_there_twice_are_refused(folder: Path) -> None:
    path = folder / "mapping_file.json"
    text = path.read_text().rstrip().rstrip("}").rstrip()
    first = json.loads(path.read_text())["000000000000"]
    twice = json.dumps(first)[:-1] + ', "image_path": "b.png", "world": {"a": 1}}'
    path.write_text(f'{text}, "000000000001": {json.dumps(first)}, "x": {twice}}}')
    found = read_cases(folder)
    assert [case.id for case in found.cases] == ["000000000000", "000000000002", "000000000003"]
    assert found.refused == {
        "000000000001": "2 cases have this id, so none is meant.",
        "x": "It says image_path more than once.",
    }


def test_null_says_nothing(folder: Path) -> None:
    optional = ("blended_word", "editing_type_id", "mask", "truth_path", "editing_instruction", "expected")
    edit_mapping(folder, lambda entries: entries["000000000001"].update(dict.fromkeys(optional)))
    found = read_cases(folder)
    assert not found.refused
    case = found.cases[1]
    assert (case.blended, case.kind, case.mask, case.truth, case.instruction) == (None, "", None, None, "")
    assert found.type_of(case.kind) == "no type"


def test_a_picture_that_is_none_is_named(folder: Path) -> None:
    broken = read_cases(folder).cases[0]
    broken.picture.write_text("no picture")
    assert "is not a picture" in read_cases(folder).refused[broken.id]


def test_a_truth_of_another_size_is_named(folder: Path) -> None:
    case = read_cases(folder).cases[0]
    assert case.truth is not None
    Image.new("RGB", (5, 5)).save(case.truth)
    assert "another size" in read_cases(folder).refused[case.id]


def test_a_bad_mapping_file_is_an_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no folder"):
        read_cases(tmp_path / "nowhere")
    path = folder / "mapping_file.json"
    for text, why in (
        ("{", "damaged"),
        ("[]", "no list of cases"),
        ("{}", "no case"),
        ('{"a": 1}', "no case"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=why):
            read_cases(folder)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="damaged"):
        read_cases(folder)
    path.unlink()
    with pytest.raises(InputError, match="There is no file"):
        read_cases(folder)
    edit = {"image_path": "gone.png", "original_prompt": "a", "editing_prompt": "b"}
    path.write_text(json.dumps({"a": edit}))
    with pytest.raises(InputError, match=r"no case that can be used.*gone\.png is missing"):
        read_cases(folder)


def test_a_case_is_known_by_all_that_is_in_it(folder: Path, tmp_path: Path) -> None:
    case = read_cases(folder).cases[0]
    copy = shutil.copytree(folder, tmp_path / "elsewhere")
    assert read_cases(copy).cases[0].digest == case.digest, "where it lies does not matter"
    others = [
        replace(case, target="a fish"),
        replace(case, mask=(0, 1)),
        replace(case, expected=()),
        replace(case, truth=None),
        replace(case, picture=case.truth or case.picture),
    ]
    assert len({each.digest for each in (case, *others)}) == 6


READING = Reading(("dog", None), ("red", None), "green")


@pytest.mark.parametrize(
    ("expected", "right"),
    [
        ((), True),
        ((Expected("object", "dog"), Expected("colour", "red"), Expected("background", "green")), True),
        ((Expected("object", "dog"), Expected("colour", "blue")), False),
        ((Expected("object", "dog", thing=1),), False),
        ((Expected("background", "red"),), False),
        ((Expected("absent", "cat"),), True),
        ((Expected("absent", "dog"),), False),
    ],
)
def test_all_that_is_expected_must_be_seen(expected: tuple[Expected, ...], right: bool) -> None:
    assert agrees(expected, READING) is right
