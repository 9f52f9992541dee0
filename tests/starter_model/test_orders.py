"""What the siblings learn from: orders with their truth and their words, and edges."""

import numpy as np
import pytest
from starter_model.artwork import Sprites
from starter_model.blemishes import BLEMISHES, OPACITIES, watermarked
from starter_model.changes import ELSEWHERE
from starter_model.control import edges, lines
from starter_model.orders import OPACITY, SHARES, TASKS, Order, draw_order, draw_orders, pictures, sentence
from starter_model.render import render
from starter_model.sibling_figures import agreement
from starter_model.vocabulary import words as vocabulary
from starter_model.world import PLAIN, held_out

from sfumato_plugins.instruct_diffusion import InstructDiffusionParams

WORDS = ("apple", "cat", "dog", "car", "balloon", "heart", "tree")
FORM = {
    "mark": "mark the pixels of",
    "circle": "circle",
    "noise": "noise",
    "blur": "blur",
    "watermark": "watermark",
}


def test_orders_are_of_every_kind_and_said_in_known_words() -> None:
    orders = draw_orders(WORDS, np.random.default_rng(1), 300)
    assert {order.kind for order in orders} == SHARES.keys()
    said = {word for order in orders for turn in (0, 0.4, 0.99) for word in sentence(order, turn).split()}
    assert said <= set(vocabulary())


def test_orders_also_lead_from_plain_backgrounds_to_places_and_back() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        change = draw_order(ELSEWHERE, WORDS, rng, kept=False).change
        assert (change.before.background in PLAIN) != (change.after.background in PLAIN)
        assert change.before.things == change.after.things
        assert not held_out(change.after)
        assert change.after.background in sentence(Order(change))


@pytest.mark.parametrize("task", TASKS)
def test_a_task_changes_what_it_names(sprites: Sprites, task: str) -> None:
    order = draw_order(task, WORDS, np.random.default_rng(5), kept=True)
    before, after = pictures(order, sprites)
    assert (before != after).any()
    again = pictures(order, sprites)
    np.testing.assert_array_equal(before, again[0])
    if task in BLEMISHES:
        np.testing.assert_array_equal(after, render(order.change.before, sprites).pixels)
    if task == "mark":
        coverage = render(order.change.before, sprites).coverage[order.change.which]
        np.testing.assert_array_equal(before[coverage == 0], after[coverage == 0])
        wanted = (1 - OPACITY) * before[coverage == 1] + OPACITY * np.array(PLAIN[order.colour])
        np.testing.assert_allclose(after[coverage == 1], wanted, atol=0.51)


def test_a_watermark_lets_what_is_under_it_show_through() -> None:
    grey = np.full((128, 128, 3), 128, np.uint8)
    for seed in range(8):
        made = watermarked(grey, np.random.default_rng(seed))
        moved = np.abs(made.astype(int) - 128).max(axis=-1)
        assert 0.01 < (moved > 10).mean() < 0.6
        assert moved.max() <= 128 * OPACITIES[1] + 1


def test_tasks_are_said_as_the_editor_says_them() -> None:
    """The form of InstructDiffusion leads to sentences that the sibling was trained on."""
    for task, asked in FORM.items():
        order = draw_order(task, WORDS, np.random.default_rng(5), kept=True)
        named = f"the {order.change.before.things[order.change.which].word}"
        values = {"task": asked} | ({"colour": order.colour} if order.colour else {})
        ways = {sentence(order, turn) for turn in (0, 0.5)}
        for words in (named, "the picture"):
            if task not in ("mark", "circle") or words == named:
                assert InstructDiffusionParams.model_validate(values).sentence(words) in ways


def test_lines_drawn_finely_are_grey_where_the_model_sees_them() -> None:
    picture = np.zeros((256, 256, 3), np.uint8)
    picture[:, 100:] = 255
    np.testing.assert_array_equal(lines(picture, 256) > 0, edges(picture))
    seen = lines(picture, 128)
    assert 60 < seen[:, 45:55].max() < 255
    assert seen[:, 60:].max() == 0


def test_edge_agreement_is_whole_nearby_and_nothing_far_away() -> None:
    lines = np.zeros((32, 32), bool)
    lines[8, 4:28] = True
    assert agreement(lines, lines) == 1
    assert agreement(np.roll(lines, 2, 0), lines) == 1
    assert agreement(np.roll(lines, 9, 0), lines) == 0
    assert agreement(np.zeros_like(lines), np.zeros_like(lines)) == 1
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, 32:] = 255
    assert edges(picture)[:, 30:34].any(axis=1).sum() > 50
