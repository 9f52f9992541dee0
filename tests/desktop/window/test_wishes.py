"""What counts as another try, and what a layer is called, where no two prompts say it."""

from __future__ import annotations

import numpy as np
import pytest

from sfumato.document.layers import Document, EditInfo, Layer
from sfumato.method import Recipe
from sfumato_desktop.edit_details import summary
from sfumato_desktop.landing import layer_name
from sfumato_desktop.tries import earlier_try

SNOW = Recipe(editor="order", instruction="make it snow")
SMILE = Recipe(editor="mix", concepts=(("smile", 5.0), ("glasses", -2.0)))


def _edited_by(recipe: Recipe) -> Document:
    pixels = np.zeros((8, 8, 4), np.uint8)
    edit = EditInfo(recipe, None, {}, (pixels,), 0, "")
    return Document(8, 8, [Layer("Background", pixels), Layer("edit", pixels, edit=edit)])


@pytest.mark.parametrize(
    ("before", "now", "again"),
    [
        (SNOW, SNOW.model_copy(update={"seed": 4}), True),
        (SNOW, SNOW.model_copy(update={"instruction": "now make it rain"}), False),
        (SMILE, SMILE.model_copy(update={"concepts": (("Smile", 9.0),)}), True),
        (SMILE, SMILE.model_copy(update={"concepts": (("beard", 5.0),)}), False),
        (SMILE.model_copy(update={"source": "a face"}), SMILE, False),
        (SNOW, SMILE, False),
        (Recipe(target="a hill"), Recipe(target="a hill"), False),
    ],
)
def test_the_same_wish_again_is_another_try(before: Recipe, now: Recipe, again: bool) -> None:
    document = _edited_by(before)
    assert (earlier_try(document, now) is document.layers[1]) == again


def test_a_layer_is_called_after_what_was_asked() -> None:
    assert layer_name(SNOW) == summary(SNOW) == "make it snow"
    assert layer_name(SMILE) == summary(SMILE) == "+ smile, − glasses"
