"""Changes and cases: what is said, what is shown and what is masked are one thing."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from starter_model.artwork import Sprites
from starter_model.captions import prompt
from starter_model.cases import bracketed, write_world_cases
from starter_model.changes import KINDS, ONE_ATTRIBUTE, draw_change, instruction
from starter_model.concepts import concepts
from starter_model.vocabulary import words as vocabulary
from starter_model.world import held_out

from sfumato.benchmark.masks import encode_runs

WORDS = ("apple", "cat", "dog", "car", "balloon", "heart", "tree")
ALL = tuple(concepts())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, sprites: Sprites) -> Path:
    place = tmp_path_factory.mktemp("cases")
    assert write_world_cases(place, sprites, WORDS, each=2, seed=3, side=128) == 20
    return place


def unrolled(lengths: list[int], size: int) -> np.ndarray:
    """A mask by PIE-Bench's rule, written down a second time."""
    flat = np.zeros(size, bool)
    for start, length in zip(lengths[::2], lengths[1::2], strict=True):
        flat[start : start + length] = True
    return flat


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31 - 1), st.sampled_from(KINDS), st.booleans())
def test_a_change_is_of_its_kind_and_on_one_side_of_the_split(seed: int, kind: str, kept: bool) -> None:
    change = draw_change(kind, ALL, np.random.default_rng(seed), kept=kept)
    assert change.kind == kind
    assert held_out(change.before) == kept == held_out(change.after)
    assert change.before != change.after
    assert change.before.seed == change.after.seed
    assert prompt(change.before) != prompt(change.after)
    if kind in ONE_ATTRIBUTE:
        assert len(change.before.things) == len(change.after.things)
    if kind == "two changes":
        assert len(change.parts) == 2


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31 - 1), st.sampled_from(KINDS), st.floats(0, 0.999))
def test_instructions_are_made_of_known_words_and_name_what_is_new(seed: int, kind: str, turn: float) -> None:
    change = draw_change(kind, ALL, np.random.default_rng(seed), kept=True)
    said = instruction(change, turn).split()
    assert set(said) <= set(vocabulary())
    new = {word for word in prompt(change.after).split() if word not in prompt(change.before).split()}
    if kind not in ("remove", "size", "place"):
        assert new - {"a", "an", "and", "on", "in", "at", "the", "behind"} <= set(said)


def test_the_mask_holds_every_pixel_that_truly_changes(folder: Path) -> None:
    cases = json.loads((folder / "mapping_file.json").read_text())
    assert {case["editing_type_id"] for case in cases.values()} == {str(n) for n in range(10)}
    for case in cases.values():
        before, after = (
            np.asarray(Image.open(folder / kind / case["image_path"]))
            for kind in ("annotation_images", "truth_images")
        )
        mask = unrolled(case["mask"], 128 * 128).reshape(128, 128)
        np.testing.assert_array_equal(before[~mask], after[~mask])
        assert (before[mask] != after[mask]).any()


def test_the_same_seed_gives_the_same_cases(folder: Path, sprites: Sprites, tmp_path: Path) -> None:
    write_world_cases(tmp_path, sprites, WORDS, each=2, seed=3, side=128)
    for file in folder.rglob("*.*"):
        assert (tmp_path / file.relative_to(folder)).read_bytes() == file.read_bytes()


def test_runs_are_starts_and_lengths() -> None:
    mask = np.array([[1, 1, 0], [0, 0, 1], [1, 0, 1]], bool)
    assert encode_runs(mask) == (0, 2, 5, 2, 8, 1)
    assert encode_runs(np.zeros((2, 2), bool)) == ()
    assert encode_runs(np.ones((2, 2), bool)) == (0, 4)


def test_what_is_new_in_a_prompt_is_bracketed() -> None:
    assert bracketed("a cat on the grass", "a dog on the grass") == "a [dog] on the grass"
    assert bracketed("a cat", "a small cat and a ball") == "a [small] cat [and a ball]"
    assert bracketed("a cat and a ball", "a cat") == "a cat"
