"""What the judge learns from and is asked: only its drawing may give a spoiled picture away."""

import numpy as np
import pytest
import torch
from starter_model.artwork import Sprites
from starter_model.concepts import concepts
from starter_model.config import read_settings
from starter_model.judge import SKIP, build_judge, labels, reckon, score
from starter_model.render import render
from starter_model.spoiled import WAYS, Spoiler, held_out_scenes, unseen_spoiled
from starter_model.swaps import draw_swaps
from starter_model.world import BACKGROUNDS, Scene, Thing

from sfumato.benchmark.judge import Reading

WORDS = ("apple", "cat", "dog", "car", "balloon", "heart", "tree")
ONE = Scene((Thing("cat"),), "blue", 5)
TWO = Scene((Thing("cat"), Thing("balloon", "yellow")), "blue", 5, relation="beside")


@pytest.mark.parametrize("scene", [ONE, TWO])
@pytest.mark.parametrize("way", WAYS)
def test_a_spoiled_picture_is_the_scene_but_for_one_drawing(sprites: Sprites, scene: Scene, way: str) -> None:
    rng = np.random.default_rng(1)
    example = Spoiler.of(sprites, WORDS, checking=True).example(scene, rng, way)
    true = render(scene, sprites)
    assert example.spoiled is not None
    assert not np.array_equal(example.pixels, true.pixels)
    empty = render(scene, sprites, instead={example.spoiled: np.zeros((8, 8, 4), np.uint8)})
    corners = np.zeros(example.pixels.shape[:2], bool)
    corners[:4] = True
    np.testing.assert_array_equal(example.pixels[corners], empty.pixels[corners])


def test_training_and_checks_have_their_own_foreign_drawings() -> None:
    others = np.arange(40, dtype=np.uint8).repeat(4).reshape(40, 1, 1, 4)
    sprites = Sprites({}, others, others)
    ours, theirs = (Spoiler.of(sprites, WORDS, checking=each).foreign for each in (True, False))
    assert (len(ours), len(theirs)) == (4, 36)
    assert not set(ours[:, 0, 0, 0]) & set(theirs[:, 0, 0, 0])


def test_what_is_refused_is_there_in_every_way(sprites: Sprites) -> None:
    found = unseen_spoiled(Spoiler.of(sprites, WORDS, checking=True), 8)
    assert found.keys() == WAYS.keys()
    assert all(pictures.shape == (2, 128, 128, 3) for pictures in found.values())


def test_a_spoiled_thing_is_none_and_the_other_is_itself() -> None:
    none, blue = len(WORDS), BACKGROUNDS.index("blue")
    assert labels(ONE, WORDS, 0) == (none, none, SKIP, SKIP, blue, SKIP)
    cat, balloon, *_ = labels(TWO, WORDS)
    assert labels(TWO, WORDS, 0)[:3] == (none, balloon, SKIP)
    assert labels(TWO, WORDS, 1)[:2] == (cat, none)


def test_none_of_these_is_said_as_often_as_it_is_met() -> None:
    torch.manual_seed(0)
    judge, pictures = build_judge(read_settings().judge, WORDS), torch.randn(2, 3, 128, 128)
    with torch.no_grad():
        before = judge(pictures)[0].softmax(1)
        reckon(judge, 0.5, 0.2)
        after = judge(pictures)[0].softmax(1)
    odds = [shares[:, -1] / (1 - shares[:, -1]) for shares in (before, after)]
    torch.testing.assert_close(odds[1] / odds[0], torch.full((2,), 0.25))
    torch.testing.assert_close(after[:, :-1] / after[:, :1], before[:, :-1] / before[:, :1])


def test_an_object_too_many_is_wrong_and_order_is_told_apart() -> None:
    def seen(*objects: str | None) -> list[Reading]:
        return [Reading(objects, (None, None), "blue", None)]  # type: ignore[arg-type]

    assert score(seen("cat", None), [ONE]).objects == 1
    assert score(seen("cat", "dog"), [ONE]).objects == 0
    assert score(seen("cat", "balloon"), [TWO]).objects == 1
    turned = score(seen("balloon", "cat"), [TWO])
    assert (turned.objects, turned.any_order) == (0, 1)


def test_as_many_pictures_of_two_things_as_asked_for() -> None:
    every = tuple(concepts())
    scenes = held_out_scenes(every, 400, 0.25, 3)
    assert 70 < sum(len(scene.things) == 2 for scene in scenes) < 130
    swaps = draw_swaps(every, 60)
    assert len(swaps) == 60
    assert 12 <= sum(len(swap.before.things) == 2 for swap in swaps) <= 24
    assert {swap.kind for swap in swaps if len(swap.before.things) == 1} == {"object", "colour", "background"}
