"""What was not set by hand follows the model and the method; what was set stays."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtWidgets import QComboBox, QToolButton, QWidget

from sfumato.events import Defaults, ModelInfo, Ready
from sfumato.method import Ability, Need, Recipe
from sfumato.starting import starting
from sfumato_desktop.edit_panel import EditPanel
from sfumato_desktop.from_words import FromWordsDialog
from tests.desktop.panel.conftest import CONTROLS, method

PAINTS, TOLD = frozenset({Ability.PROMPTS}), frozenset({Ability.INSTRUCTIONS})
MODELS = (
    ModelInfo("starter", "Starter", 128, 8, PAINTS),
    ModelInfo("quick", "Quick", 128, 8, PAINTS, defaults=Defaults(4, 1.0, "lcm")),
    ModelInfo(
        "told",
        "Told",
        128,
        8,
        TOLD,
        defaults=Defaults(40, 6.0, "ddim", {"order": {"guidance": 3.0, "share": 0.5}}),
    ),
)


def start(model: str, editor: str) -> dict[str, object]:
    return starting(next(each for each in MODELS if each.name == model), editor)


@pytest.fixture
def catalogue(ready: Ready) -> Ready:
    """The invented methods, some of which want an instructed model, and three models."""
    methods = [each for each in ready.methods if each.name != "order"]
    orders = [
        method("editor", name, {Need.IMAGE, Need.INSTRUCTION}, TOLD, CONTROLS[:2])
        for name in ("order", "bid")
    ]
    return replace(ready, methods=(*methods, *orders), models=MODELS)


@pytest.fixture
def panel(qtbot, catalogue: Ready) -> EditPanel:
    made = EditPanel()
    qtbot.addWidget(made)
    made.starting = start
    made.set_catalogue(catalogue)
    made.set_recipe(Recipe(editor="swap", inverter="straight"))
    made.show()
    return made


def settings(panel: EditPanel) -> tuple[int, float, str]:
    recipe = panel.recipe()
    return recipe.steps, recipe.guidance, recipe.solver


def test_a_few_step_model_brings_its_solver_along(panel: EditPanel) -> None:
    panel.choose_model("quick")
    assert settings(panel) == (4, 1.0, "lcm")
    panel.choose_model("starter")
    assert settings(panel) == (50, 5.0, "ddim")


def test_what_was_set_by_hand_stays(panel: EditPanel) -> None:
    panel.set_recipe(panel.recipe().model_copy(update={"solver": "euler_a", "steps": 12}))
    panel.choose_model("quick")
    assert settings(panel) == (12, 1.0, "euler_a")


def choose_editor(panel: EditPanel, name: str) -> None:
    combo = panel.findChild(QComboBox, "editor")
    assert combo is not None
    place = combo.findData(name)
    combo.setCurrentIndex(place)
    combo.activated.emit(place)


def test_an_editor_takes_its_model_and_both_their_values(panel: EditPanel) -> None:
    choose_editor(panel, "order")
    recipe = panel.recipe()
    assert recipe.model == "told"
    assert settings(panel) == (40, 3.0, "ddim")
    assert recipe.editor_values == {"share": 0.5}
    choose_editor(panel, "bid")
    assert settings(panel) == (40, 6.0, "ddim")
    assert panel.recipe().editor_values == {}
    choose_editor(panel, "order")
    assert (panel.recipe().guidance, panel.recipe().editor_values) == (3.0, {"share": 0.5})


def test_an_editors_values_follow_the_model_but_not_over_what_was_set(qtbot, catalogue: Ready) -> None:
    other = ModelInfo("other", "Other", 128, 8, TOLD, defaults=Defaults(editors={"order": {"size": 9}}))
    made = EditPanel()
    qtbot.addWidget(made)
    made.set_catalogue(replace(catalogue, models=(*MODELS, other)))
    made.set_recipe(Recipe(model="told", editor="order", editor_values={"share": 0.5}))
    made.choose_model("other")
    assert made.recipe().editor_values == {"share": 0.8, "size": 9}
    made.set_recipe(Recipe(model="told", editor="order", editor_values={"share": 0.3}))
    made.choose_model("other")
    assert made.recipe().editor_values == {"share": 0.3, "size": 9}


def test_the_way_to_invert_follows_but_not_over_what_was_chosen(qtbot, catalogue: Ready) -> None:
    usual, swap = Recipe().inverter, {"swap": {"inverter": "noisy"}}
    wishing = ModelInfo("wishing", "Wishing", 128, 8, PAINTS, defaults=Defaults(editors=swap))
    made = EditPanel()
    qtbot.addWidget(made)
    made.set_catalogue(replace(catalogue, models=(*MODELS, wishing)))
    made.set_recipe(Recipe(editor="swap", inverter=usual))
    made.choose_model("wishing")
    assert made.recipe().inverter == "noisy"
    choose_editor(made, "bid")
    made.choose_model("wishing")
    assert made.recipe().inverter == usual, "nothing is known of this editor"
    choose_editor(made, "swap")
    made.choose_model("starter")
    assert made.recipe().inverter == usual
    made.set_recipe(Recipe(editor="swap", inverter="straight"))
    made.choose_model("wishing")
    assert made.recipe().inverter == "straight"


def test_what_was_open_before_models_were_known_follows_when_they_are(qtbot, catalogue: Ready) -> None:
    swap = Defaults(steps=9, editors={"swap": {"inverter": "noisy"}})
    made = EditPanel()
    qtbot.addWidget(made)
    made.set_recipe(Recipe(editor="swap", model="wishing"))
    known = ModelInfo("wishing", "Wishing", 128, 8, PAINTS, defaults=swap)
    made.set_catalogue(replace(catalogue, models=(known,)))
    made.starting = lambda model, editor: starting(known, editor)
    made.follow_models()
    assert (made.recipe().inverter, made.recipe().steps) == ("noisy", 9)


def dot(panel: QWidget, name: str) -> QToolButton:
    found = panel.findChild(QToolButton, f"{name}_reset")
    assert found is not None
    return found


def test_reset_goes_to_what_suits_the_model(panel: EditPanel) -> None:
    panel.choose_model("quick")
    assert not dot(panel, "steps").isVisible()
    panel.set_recipe(panel.recipe().model_copy(update={"steps": 50}))
    assert dot(panel, "steps").isVisible()
    assert dot(panel, "steps").toolTip() == "Back to what suits the model: 4"
    dot(panel, "steps").click()
    assert settings(panel) == (4, 1.0, "lcm")


def test_reset_of_an_editors_value_goes_to_what_suits_the_model(panel: EditPanel) -> None:
    choose_editor(panel, "order")
    assert not dot(panel, "share").isVisible()
    panel.set_recipe(panel.recipe().model_copy(update={"editor_values": {"share": 0.2}}))
    dot(panel, "share").click()
    assert panel.recipe().editor_values == {"share": 0.5}
    assert not dot(panel, "share").isVisible()


def test_a_new_picture_is_reset_to_what_suits_the_model(qtbot, catalogue: Ready) -> None:
    dialog = FromWordsDialog(None, Recipe(model="quick"), over_picture=False, starting=start)
    qtbot.addWidget(dialog)
    dialog.set_catalogue(catalogue)
    dialog.show()
    dot(dialog, "steps").click()
    assert dialog.recipe().steps == 4


def test_a_new_picture_follows_too(qtbot, catalogue: Ready) -> None:
    dialog = FromWordsDialog(None, Recipe(), over_picture=False, starting=start)
    qtbot.addWidget(dialog)
    dialog.set_catalogue(catalogue)
    dialog._choose_model("quick")
    made = dialog.recipe()
    assert (made.steps, made.guidance, made.solver) == (4, 1.0, "lcm")
