import copy

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from sfumato.document.brush import Stroke
from sfumato.document.commands import (
    AddLayer,
    Command,
    MoveLayer,
    RemoveLayer,
    RenameLayer,
    ReplaceLayer,
    SetMask,
    SetOpacity,
    SetRecipe,
    SetVisible,
    Together,
)
from sfumato.document.compositor import flatten
from sfumato.document.geometry import NOTHING, unite, window
from sfumato.document.layers import Document, Layer
from sfumato.method import Recipe

WIDTH, HEIGHT = 100, 70


def picture(value: int, width: int = WIDTH, height: int = HEIGHT, **more) -> Layer:
    return Layer(f"layer {value}", np.full((height, width, 4), value, np.uint8), **more)


def state(document: Document):
    """Everything a command may change, as values that compare."""
    layers = [
        (layer.id, layer.name, layer.box, layer.visible, layer.opacity, layer.pixels.tobytes())
        for layer in document.layers
    ]
    mask = None if document.mask is None else document.mask.tobytes()
    return layers, mask, document.recipe


@st.composite
def command(draw, document: Document) -> Command:
    """A command that fits the document as it is now."""
    number = st.integers(0, 255)
    kinds = ["add", "mask", "no mask", "stroke", "recipe", "together"]
    if document.layers:
        kinds += ["remove", "move", "rename", "visible", "opacity", "replace"]
        layer_id = draw(st.sampled_from(document.layers)).id
        index = draw(st.integers(0, len(document.layers) - 1))
    match draw(st.sampled_from(kinds)):
        case "add":
            layer = picture(draw(number), 20, 30, left=draw(st.integers(-30, 90)))
            return AddLayer(layer, draw(st.sampled_from([None, 0])))
        case "mask":
            return SetMask(np.full((HEIGHT, WIDTH), draw(number), np.uint8))
        case "no mask":
            return SetMask(None)
        case "stroke":
            mask = np.zeros((HEIGHT, WIDTH), np.uint8) if document.mask is None else document.mask.copy()
            stroke = Stroke(mask, draw(st.integers(1, 40)), draw(st.floats(0, 1)), draw(st.booleans()))
            for _ in range(3):
                stroke.to(draw(st.integers(-20, 120)), draw(st.integers(-20, 90)), draw(st.floats(0, 1)))
            return stroke.finish()
        case "recipe":
            return SetRecipe(Recipe(seed=draw(number)))
        case "together":
            layer = picture(draw(number))
            return Together("both", [AddLayer(layer), SetOpacity(layer.id, 0.5), SetMask(None)])
        case "remove":
            return RemoveLayer(layer_id)
        case "move":
            return MoveLayer(layer_id, index)
        case "rename":
            return RenameLayer(layer_id, str(draw(number)))
        case "visible":
            return SetVisible(layer_id, draw(st.booleans()))
        case "opacity":
            return SetOpacity(layer_id, draw(st.floats(0, 1)))
        case _:
            return ReplaceLayer(layer_id, picture(draw(number), 10, 10, left=draw(st.integers(-5, 95))))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_history_can_be_undone_and_redone_exactly(data):
    document = Document(WIDTH, HEIGHT, [picture(40), picture(200, 30, 30, left=20, top=20)])
    history = []
    states = [state(document)]
    for _ in range(data.draw(st.integers(1, 6))):
        done = data.draw(command(document))
        before = flatten(document)
        dirty = done.do(document)
        changed = np.any(flatten(document) != before, axis=-1)
        changed[window((max(dirty[0], 0), max(dirty[1], 0), dirty[2], dirty[3]))] = False
        assert not changed.any(), f"{done.title} changed more than it told"
        history.append(done)
        states.append(state(document))
    for _ in range(2):
        for done, expected in zip(reversed(history), reversed(states[:-1]), strict=True):
            done.undo(document)
            assert state(document) == expected
        for done, expected in zip(history, states[1:], strict=True):
            done.do(document)
            assert state(document) == expected


def test_a_dragged_opacity_is_one_entry():
    document = Document(4, 4, [picture(9, 4, 4)])
    layer = document.layers[0]
    first, second = SetOpacity(layer.id, 0.7), SetOpacity(layer.id, 0.2)
    first.do(document)
    second.do(document)
    assert first.merge(second)
    first.undo(document)
    assert layer.opacity == 1.0
    first.do(document)
    assert layer.opacity == 0.2
    assert not first.merge(SetOpacity("another", 0.2))
    assert not first.merge(SetVisible(layer.id, False))


def test_opacity_is_held_within_its_range():
    assert SetOpacity("any", 7).opacity == 1.0
    assert SetOpacity("any", -1).opacity == 0.0


def test_typing_a_prompt_is_one_entry_and_moving_on_another():
    document = Document(4, 4)
    typed = [SetRecipe(Recipe(target="a")), SetRecipe(Recipe(target="a dog"))]
    seeded = SetRecipe(Recipe(target="a dog", seed=4))
    for done in (*typed, seeded):
        done.do(document)
    assert typed[0].merge(typed[1])
    assert not typed[0].merge(seeded)
    seeded.undo(document)
    typed[0].undo(document)
    assert document.recipe == Recipe()
    typed[0].do(document)
    assert document.recipe.target == "a dog"


def test_a_stroke_keeps_only_the_tiles_it_touched():
    document = Document(640, 640, mask=np.zeros((640, 640), np.uint8))
    assert document.mask is not None
    stroke = Stroke(document.mask, 20)
    dirty = unite(stroke.to(100, 100), stroke.to(160, 100))
    painted = stroke.finish()
    assert {box[:2] for box in painted.boxes} == {(64, 64), (128, 64)}
    assert unite(NOTHING, dirty) == (89, 89, 171, 111)
    after = document.mask.copy()
    painted.do(document)
    assert_array_equal(document.mask, after)
    painted.undo(document)
    assert not document.mask.any()


def test_a_stroke_on_no_mask_is_undone_to_no_mask():
    document = Document(64, 64)
    stroke = Stroke(np.zeros((64, 64), np.uint8), 10)
    stroke.to(5, 5)
    painted = stroke.finish()
    painted.do(document)
    assert document.mask is not None
    assert document.mask[5, 5] == 255
    painted.undo(document)
    assert document.mask is None


def test_a_mask_that_was_set_is_the_documents_own():
    given_mask = np.zeros((4, 4), np.uint8)
    document = Document(4, 4)
    SetMask(given_mask).do(document)
    given_mask[...] = 255
    assert document.mask is not None
    assert not document.mask.any()


def test_commands_have_titles_for_the_undo_list():
    layer = picture(3, 4, 4)
    commands = [
        AddLayer(layer),
        RemoveLayer(layer.id),
        SetMask(None, "Clear mask"),
        copy.copy(SetRecipe(Recipe())),
    ]
    assert all(isinstance(each, Command) and each.title for each in commands)
    assert commands[2].title == "Clear mask"
