"""Scenes and their edits: the true edit changes what it names and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starter_model.artwork import Sprites
from starter_model.captions import caption, prompt
from starter_model.concepts import concepts
from starter_model.recolour import COLOURS, recolour
from starter_model.render import render, spots
from starter_model.world import (
    BACKGROUNDS,
    PLACES_OUTSIDE,
    PLAIN,
    RELATIONS,
    Scene,
    Thing,
    draw_scene,
    draw_training_scene,
    edit,
    held_out,
    held_out_pairs,
)

from sfumato.errors import InputError

WORDS = ("apple", "cat", "dog", "car", "balloon", "heart", "tree")
seeds = st.integers(0, 2**31 - 1)


def drawn(seed: int, pairs: float = 0.5) -> Scene:
    return draw_scene(np.random.default_rng(seed), WORDS, pairs)


def test_the_world_is_as_large_as_promised() -> None:
    recolourable = [concept for concept in concepts().values() if concept.natural]
    assert len(concepts()) >= 100
    assert 35 <= len(recolourable) <= 50
    assert len({concept.code for concept in concepts().values()}) == len(concepts())
    assert len(COLOURS) == 7
    assert len(PLAIN) == 11
    assert len(PLACES_OUTSIDE) >= 7


@settings(deadline=None, max_examples=25)
@given(seed=seeds, colour=st.sampled_from(COLOURS), relation=st.sampled_from([None, *RELATIONS]))
def test_a_colour_edit_leaves_every_pixel_outside_the_object(
    sprites: Sprites, seed: int, colour: str, relation: str | None
) -> None:
    things = (Thing("balloon", "blue"), Thing("car", "red"))[: 2 if relation else 1]
    scene = Scene(things, "on the beach", seed, relation=relation)
    before, after = render(scene, sprites), render(edit(scene, colour=colour), sprites)
    outside = before.coverage[0] == 0
    assert outside.any()
    np.testing.assert_array_equal(before.pixels[outside], after.pixels[outside])
    np.testing.assert_array_equal(before.coverage[0], after.coverage[0])
    assert colour == "blue" or (before.pixels != after.pixels).any()


@settings(deadline=None, max_examples=25)
@given(seed=seeds, background=st.sampled_from(BACKGROUNDS))
def test_a_background_edit_leaves_every_pixel_the_object_covers(
    sprites: Sprites, seed: int, background: str
) -> None:
    scene = drawn(seed)
    before, after = render(scene, sprites), render(edit(scene, background=background), sprites)
    covered = sum(before.coverage) == 1
    assert covered.any()
    np.testing.assert_array_equal(before.pixels[covered], after.pixels[covered])


@settings(deadline=None, max_examples=15)
@given(seed=seeds)
def test_an_object_edit_leaves_what_neither_object_covers(sprites: Sprites, seed: int) -> None:
    scene = Scene((Thing("cat"), Thing("tree")), "in the forest", seed, relation="beside")
    before, after = render(scene, sprites), render(edit(scene, object="dog"), sprites)
    outside = (before.coverage[0] == 0) & (after.coverage[0] == 0)
    np.testing.assert_array_equal(before.pixels[outside], after.pixels[outside])
    assert spots(scene) == spots(edit(scene, object="dog"))
    assert (before.pixels != after.pixels).any()


def test_a_scene_renders_alike_every_time_and_differently_for_another_seed(sprites: Sprites) -> None:
    scene = Scene((Thing("apple"),), "at night", 5)
    np.testing.assert_array_equal(render(scene, sprites).pixels, render(scene, sprites).pixels)
    assert (render(scene, sprites).pixels != render(Scene(scene.things, "at night", 6), sprites).pixels).any()
    assert render(scene, sprites, 192).pixels.shape == (192, 192, 3)


def test_size_and_place_move_only_the_object(sprites: Sprites) -> None:
    scene = Scene((Thing("cat"),), "in the sea", 9)
    (normal,), (small,), (left,) = (
        spots(s) for s in (scene, edit(scene, size="small"), edit(scene, place="left"))
    )
    assert small.side < normal.side
    assert left.x < normal.x
    assert left.side == normal.side


@pytest.mark.parametrize(
    ("scene", "change"),
    [
        (Scene((Thing("cat"),), "red", 1), {"colour": "red"}),
        (Scene((Thing("heart", "blue"),), "red", 1), {"object": "cat"}),
        (Scene((Thing("cat"),), "red", 1), {"background": "on the moon"}),
        (Scene((Thing("cat"),), "red", 1), {"mood": "sad"}),
        (Scene((Thing("cat"),), "red", 1), {"size": "big", "place": "left"}),
    ],
)
def test_what_is_no_change_of_one_attribute_is_refused(scene: Scene, change: dict[str, str]) -> None:
    with pytest.raises(InputError):
        edit(scene, **change)


def test_nothing_held_out_enters_training() -> None:
    rng = np.random.default_rng(0)
    scenes = [draw_training_scene(rng, pairs=0.3) for _ in range(3000)]
    seen = {(thing.word, thing.colour, scene.background) for scene in scenes for thing in scene.things}
    assert not any(held_out(scene) for scene in scenes)
    assert not seen & held_out_pairs()
    assert ("panda", None, "brown") in held_out_pairs()
    assert ("car", "red", "in the desert") in held_out_pairs()  # "a car" is red as drawn
    assert 0.2 < np.mean([len(scene.things) == 2 for scene in scenes]) < 0.35


def test_the_share_held_out_by_hash_is_about_one_in_twenty() -> None:
    rng = np.random.default_rng(1)
    share = np.mean([held_out(draw_scene(rng, pairs=0.0)) for _ in range(4000)])
    assert 0.03 < share < 0.08


def test_prompts_read_as_people_write_them() -> None:
    apple, car = Thing("apple", "green"), Thing("car", "blue")
    assert prompt(Scene((apple,), "orange", 1, "small")) == "a small green apple on an orange background"
    assert prompt(Scene((Thing("cat"),), "in the snow", 1, place="left")) == "a cat on the left in the snow"
    assert (
        prompt(Scene((Thing("owl"), car), "gray", 1, relation="on"))
        == "an owl on a blue car on a gray background"
    )
    assert prompt(Scene((Thing("cat"), Thing("unicorn")), "at night", 1, relation="beside")) == (
        "a cat and a unicorn at night"
    )


@given(seed=seeds)
def test_a_caption_names_no_colour_or_object_that_is_not_there(seed: int) -> None:
    scene = drawn(seed)
    words = set(caption(scene, np.random.default_rng(seed)).split())
    there = {word for thing in scene.things for word in (thing.word, thing.colour)} | {scene.background}
    assert not (words & (set(WORDS) | set(COLOURS))) - there
    assert not words or any(thing.word in words for thing in scene.things)


def test_recolouring_keeps_alpha_and_turns_the_hue() -> None:
    sprite = np.zeros((8, 8, 4), np.uint8)
    sprite[2:6, 2:6] = (220, 40, 40, 255)
    blue = recolour(sprite, "blue")
    np.testing.assert_array_equal(blue[..., 3], sprite[..., 3])
    assert blue[3, 3, 2] > 150 > blue[3, 3, 0]


@settings(deadline=None, max_examples=15)
@given(seed=seeds, hidden=st.sampled_from([0, 1]), relation=st.sampled_from(RELATIONS))
def test_taking_a_thing_away_leaves_what_it_did_not_cover(
    sprites: Sprites, seed: int, hidden: int, relation: str
) -> None:
    both = Scene((Thing("cat"), Thing("car", "blue")), "in the snow", seed, relation=relation)
    one = replace(both, hidden=hidden)
    before, after = render(both, sprites), render(one, sprites)
    outside = before.coverage[hidden] == 0
    np.testing.assert_array_equal(before.pixels[outside], after.pixels[outside])
    assert (before.pixels[~outside] != after.pixels[~outside]).any()
    assert not after.coverage[hidden].any()
    assert prompt(one) == ("a blue car in the snow" if hidden == 0 else "a cat in the snow")


def test_a_scene_without_anything_says_so() -> None:
    scene = Scene((Thing("cat"),), "on the beach", 1, place="left", hidden=0)
    assert prompt(scene) == "nothing on the beach"
    rng = np.random.default_rng(1)
    assert all("cat" not in caption(scene, rng) and "left" not in caption(scene, rng) for _ in range(50))
    with pytest.raises(InputError, match="hidden"):
        replace(scene, hidden=1)
