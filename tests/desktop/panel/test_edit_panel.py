"""The panel and the recipe are one: what is shown is what is given, and what cannot run says why."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QComboBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QSlider,
    QToolButton,
)

from sfumato.events import Advanced, ModelInfo, Ready
from sfumato.method import Ability, Recipe
from sfumato_desktop.edit_panel import EditPanel

FULL = Recipe(
    source="a cat on a bench",
    target="a dog on a bench",
    negative="blur",
    instruction="make it snow",
    concepts=(("smile", 1.5),),
    word_weights={"dog": 1.3},
    inverter="straight",
    inverter_values={"size": 9},
    editor="swap",
    editor_values={"share": 1 / 3, "exact": True, "mode": "as_published", "names": "dog"},
    model="starter",
    seed=2**63 - 1,
    steps=37,
    guidance=7.25,
    start=0.2,
    solver="lcm",
    eta=0.5,
    size=(128, 64),
    candidates=3,
)


def child(panel, kind, name):
    found = panel.findChild(kind, name)
    assert found is not None, name
    return found


def message(panel):
    shown = child(panel, QLabel, "run_message")
    return shown.text() if shown.isVisible() else ""


def item(combo, name):
    return combo.model().item(combo.findData(name))


def choose(combo, name):
    combo.setCurrentIndex(combo.findData(name))


def test_a_recipe_comes_back_exactly_and_in_silence(panel, qtbot):
    with qtbot.assertNotEmitted(panel.changed):
        panel.set_recipe(FULL)
    assert panel.recipe() == FULL


def test_the_default_recipe_comes_back(panel):
    panel.set_recipe(Recipe(editor="swap", inverter="straight"))
    assert panel.recipe() == Recipe(editor="swap", inverter="straight")


def test_a_recipe_shown_before_the_methods_are_loaded_is_kept(qtbot, ready):
    panel = EditPanel()
    qtbot.addWidget(panel)
    panel.set_recipe(FULL)
    assert panel.recipe() == FULL
    panel.set_catalogue(ready)
    assert panel.recipe() == FULL


def test_showing_the_same_recipe_again_changes_nothing_on_the_screen(panel):
    panel.set_recipe(FULL)
    slider, prompt = child(panel, QSlider, "share_slider"), child(panel, QPlainTextEdit, "target_prompt")
    cursor = prompt.textCursor()
    cursor.setPosition(4)
    prompt.setTextCursor(cursor)
    panel.set_recipe(panel.recipe())
    assert child(panel, QSlider, "share_slider") is slider
    assert prompt.textCursor().position() == 4


def test_unknown_methods_are_shown_and_kept(panel):
    recipe = FULL.model_copy(
        update={"editor": "magic", "editor_values": {"spell": "abra"}, "inverter": "mirror"}
    )
    panel.set_recipe(recipe)
    assert panel.recipe() == recipe.model_copy(update={"inverter_values": recipe.inverter_values})
    assert child(panel, QComboBox, "editor").currentText() == "missing plugin “magic”"
    assert child(panel, QComboBox, "inverter").currentText() == "missing plugin “mirror”"
    assert message(panel) == "This recipe needs the plugin “magic”, which is missing."
    assert not child(panel, QPushButton, "run").isEnabled()


def test_an_unknown_method_can_be_left_and_is_gone_then(panel):
    panel.set_recipe(FULL.model_copy(update={"editor": "magic"}))
    editors = child(panel, QComboBox, "editor")
    choose(editors, "swap")
    assert panel.recipe().editor == "swap"
    assert editors.currentText() == "Swap"
    assert editors.findData("magic") == -1


def test_tab_goes_down_the_panel(panel):
    panel.set_recipe(FULL)
    choose(child(panel, QComboBox, "editor"), "paint")
    choose(child(panel, QComboBox, "editor"), "swap")
    names = ["invert_now", "source_prompt", "target_prompt", "editor", "inverter", "share_slider"]
    names += ["share_number", "size_slider", "seed", "steps_slider", "guidance_number", "run", "stop"]
    chain, widget = [], child(panel, QPushButton, "invert_now")
    for _ in range(200):
        if widget.objectName() in names and widget.objectName() not in chain:
            chain.append(widget.objectName())
        widget = widget.nextInFocusChain()
    assert chain == names


def test_values_are_kept_per_method(panel):
    panel.set_recipe(FULL)
    editors = child(panel, QComboBox, "editor")
    choose(editors, "paint")
    assert panel.recipe().editor_values == {}
    child(panel, QSlider, "share_slider").setValue(500)
    choose(editors, "swap")
    assert panel.recipe().editor_values == FULL.editor_values
    choose(editors, "paint")
    assert panel.recipe().editor_values == {"share": 0.5}


@pytest.mark.parametrize(
    ("act", "field", "value"),
    [
        (
            lambda p: child(p, QPlainTextEdit, "source_prompt").insertPlainText("x"),
            "source",
            "xa cat on a bench",
        ),
        (lambda p: choose(child(p, QComboBox, "editor"), "draw"), "editor", "draw"),
        (lambda p: choose(child(p, QComboBox, "inverter"), "noisy"), "inverter", "noisy"),
        (lambda p: child(p, QAbstractSpinBox, "steps_number").setValue(12), "steps", 12),
        (lambda p: child(p, QAbstractSpinBox, "guidance_number").setValue(3), "guidance", 3.0),
    ],
)
def test_each_edit_is_told_once(panel, qtbot, act, field, value):
    panel.set_recipe(FULL)
    told = []
    panel.changed.connect(lambda: told.append(panel.recipe()))
    act(panel)
    assert [getattr(recipe, field) for recipe in told] == [value]


def test_typing_a_seed(panel, qtbot):
    panel.set_recipe(FULL)
    line = child(panel, QLineEdit, "seed")
    line.selectAll()
    qtbot.keyClicks(line, "42")
    assert panel.recipe().seed == 42
    line.selectAll()
    qtbot.keyClicks(line, "9999999999999999999")
    assert panel.recipe().seed < 2**63
    qtbot.keyClick(line, Qt.Key.Key_Return)
    assert line.text() == str(panel.recipe().seed)


def test_a_locked_seed_stays_and_an_unlocked_one_is_thrown_before_the_run(panel, qtbot):
    panel.set_recipe(FULL)
    run = child(panel, QPushButton, "run")
    with qtbot.waitSignal(panel.run_requested):
        run.click()
    assert panel.recipe().seed == FULL.seed
    child(panel, QToolButton, "seed_lock").click()
    with qtbot.waitSignals([panel.changed, panel.run_requested], order="strict"):
        run.click()
    assert panel.recipe().seed != FULL.seed


def test_the_die_throws_a_seed(panel, qtbot):
    panel.set_recipe(FULL)
    with qtbot.waitSignal(panel.changed):
        child(panel, QToolButton, "seed_dice").click()
    assert panel.recipe().seed < 2**31


@pytest.mark.parametrize(
    ("facts", "changes", "says"),
    [
        ((False, False), {}, "Swap needs a picture: open one."),
        ((True, False), {"source": " "}, "Swap needs a source prompt: say what the picture shows."),
        ((True, False), {"target": ""}, "Swap needs a target prompt: say what it should show."),
        ((True, False), {"editor": "paint"}, "Paint needs a mask: paint over what may change."),
        (
            (True, False),
            {"editor": "order", "instruction": ""},
            "Order needs an instruction: say what to do.",
        ),
        ((True, False), {"inverter": "mirror"}, "This recipe needs the plugin “mirror”, which is missing."),
    ],
)
def test_what_is_missing_is_said_under_run(panel, qtbot, facts, changes, says):
    panel.set_recipe(FULL.model_copy(update=changes))
    panel.set_facts(*facts)
    run = child(panel, QPushButton, "run")
    assert not run.isEnabled()
    assert message(panel) == run.toolTip() == run.accessibleDescription() == says
    with qtbot.assertNotEmitted(panel.run_requested):
        panel.run()


def test_a_mask_lifts_the_refusal(panel):
    panel.set_recipe(FULL.model_copy(update={"editor": "paint"}))
    panel.set_facts(has_image=True, has_mask=True)
    assert message(panel) == ""
    assert child(panel, QPushButton, "run").isEnabled()


def test_equal_prompts_may_run_and_say_what_comes_of_it(panel):
    panel.set_recipe(FULL.model_copy(update={"target": FULL.source, "word_weights": {}}))
    assert child(panel, QPushButton, "run").isEnabled()
    assert message(panel).startswith("Source and target are the same")


def test_before_the_methods_are_loaded(qtbot):
    panel = EditPanel()
    qtbot.addWidget(panel)
    panel.show()
    assert message(panel) == "Loading the methods…"
    assert not child(panel, QPushButton, "run").isEnabled()


def test_without_any_method_the_way_to_the_plugins_is_shown(qtbot):
    panel = EditPanel()
    qtbot.addWidget(panel)
    panel.set_catalogue(Ready((), (), ()))
    panel.show()
    with qtbot.waitSignal(panel.manage_plugins_requested):
        child(panel, QPushButton, "manage_methods").click()


def test_what_can_never_work_is_disabled_and_says_why(panel):
    panel.set_recipe(FULL)
    editors, inverters = child(panel, QComboBox, "editor"), child(panel, QComboBox, "inverter")
    for entry, title in ((item(editors, "look"), "Look"), (item(inverters, "turned"), "Turned")):
        assert not entry.isEnabled()
        assert entry.toolTip().startswith(f"{title} needs a model with attention")
        assert entry.text() == entry.toolTip()
    assert all(item(editors, name).isEnabled() for name in ("swap", "paint", "order", "draw"))


def test_a_method_taken_from_a_recipe_goes_by_its_title_even_if_it_cannot_work(panel):
    panel.set_recipe(FULL)
    panel.set_recipe(FULL.model_copy(update={"editor": "look"}))
    editors = child(panel, QComboBox, "editor")
    assert editors.currentText() == "Look"
    assert message(panel).startswith("Look needs a model with attention")
    panel.set_recipe(FULL)
    assert item(editors, "look").text().startswith("Look needs a model with attention")


def test_the_inverter_is_hidden_where_none_is_used(panel):
    panel.set_recipe(FULL.model_copy(update={"editor": "draw"}))
    assert not child(panel, QComboBox, "inverter").isVisible()
    assert not child(panel, QPushButton, "invert_now").isVisible()
    assert panel.recipe().inverter == "straight"
    choose(child(panel, QComboBox, "editor"), "swap")
    assert child(panel, QComboBox, "inverter").isVisible()


def test_needs_are_ticked_as_they_are_met(panel):
    panel.set_recipe(FULL.model_copy(update={"editor": "paint"}))
    described = child(panel, QLabel, "editor_description")
    assert "○&nbsp;mask" in described.text()
    panel.set_facts(has_image=True, has_mask=True)
    assert "✓&nbsp;mask" in described.text()


def test_a_run_is_followed_to_its_end(panel):
    panel.set_recipe(FULL)
    run, stop = child(panel, QPushButton, "run"), child(panel, QToolButton, "stop")
    bar = child(panel, QProgressBar, "progress")
    assert (run.isEnabled(), stop.isEnabled(), bar.isVisible()) == (True, False, False)
    panel.job_started()
    assert (run.isEnabled(), stop.isEnabled(), bar.isVisible()) == (False, True, True)
    panel.job_advanced(Advanced("a", "Editing", 23, 50, 74.4))
    assert run.text() == "Running  ·  1:14 left"
    assert (bar.value(), bar.maximum()) == (23, 50)
    assert "Editing" in bar.text()
    panel.job_ended("Done in 12.0 s.")
    panel.set_facts(has_image=True, has_mask=True)
    assert (run.text(), run.isEnabled(), stop.isEnabled(), bar.isVisible()) == ("Run", True, False, False)
    assert message(panel) == "Done in 12.0 s."


def test_stop_and_invert_are_passed_on(panel, qtbot):
    panel.set_recipe(FULL)
    with qtbot.waitSignal(panel.invert_requested):
        child(panel, QPushButton, "invert_now").click()
    panel.job_started()
    assert not child(panel, QPushButton, "invert_now").isEnabled()
    with qtbot.waitSignal(panel.stop_requested):
        child(panel, QToolButton, "stop").click()


def test_the_inversion_is_told_as_text(panel):
    panel.set_inversion_status("Inversion is loose <24 dB>", "warning")
    shown = child(panel, QLabel, "inversion_status")
    assert shown.accessibleDescription() == "Inversion is loose <24 dB>"
    assert "⚠" in shown.text()
    assert "&lt;24 dB&gt;" in shown.text()


def test_the_prompt_takes_the_focus_where_the_change_is_said(panel, qtbot):
    with qtbot.waitActive(panel):
        panel.activateWindow()
    panel.set_recipe(FULL)
    panel.focus_prompt()
    assert child(panel, QPlainTextEdit, "target_prompt").hasFocus()


@pytest.mark.parametrize("editor", ["swap", "paint", "order", "draw"])
def test_nothing_is_cut_off_in_a_narrow_dock(panel, editor):
    panel.set_recipe(FULL.model_copy(update={"editor": editor}))
    panel.resize(300, 600)
    body = panel.findChild(object, "edit_body")
    assert body.minimumSizeHint().width() <= 300 - 18, "a scroll bar takes the rest"


def test_every_control_has_a_name_a_tip_and_an_object_name(panel):
    panel.set_recipe(FULL)
    kinds = (QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QPlainTextEdit, QProgressBar, QSlider)
    widgets = [widget for kind in kinds for widget in panel.findChildren(kind)]
    assert len(widgets) > 25
    for widget in widgets:
        if widget.objectName().startswith("qt_"):
            continue
        assert widget.objectName(), widget
        assert widget.accessibleName(), widget.objectName()
        assert widget.toolTip(), widget.objectName()


def test_a_method_for_another_model_takes_that_model_along(panel, ready):
    able = ModelInfo("seer", "Seer", 128, 8, frozenset({Ability.ATTENTION}))
    panel.set_catalogue(replace(ready, models=(*ready.models, able)))
    editors = panel.findChild(QComboBox, "editor")
    assert item(editors, "look").text() == "Look (with Seer)"
    assert item(editors, "look").isEnabled()
    editors.setCurrentIndex(editors.findData("look"))
    assert (panel.recipe().editor, panel.recipe().model) == ("look", "seer")
    assert item(editors, "swap").text() == "Swap (with Starter)"
    editors.setCurrentIndex(editors.findData("draw"))  # which any model can do: nothing is changed for it
    assert (panel.recipe().editor, panel.recipe().model) == ("draw", "seer")
    editors.setCurrentIndex(editors.findData("swap"))
    assert (panel.recipe().editor, panel.recipe().model) == ("swap", "starter")
