"""Custom panels: a broken one is named and the form stays; the built-in one weighs words."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest
from PySide6.QtWidgets import QDoubleSpinBox, QLabel, QSlider, QToolButton

from sfumato.errors import InputError
from sfumato.hookspecs import hookimpl
from sfumato.method import Recipe
from sfumato_desktop.edit_panel import EditPanel
from sfumato_desktop.panels import GROUP, Panels
from sfumato_plugins.panels import word_weights


class Plugin:
    """Makes a panel with `make` for the method "swap", and remembers the bridge."""

    def __init__(self, make):
        self._make = make
        self.bridge = None

    @hookimpl
    def custom_panel(self, method, bridge, parent):
        if method != "swap":
            return None
        self.bridge = bridge
        return self._make()


def shown_by(qtbot, ready, *plugins):
    """A panel on a recipe for "swap" with these plugins."""
    panels = Panels()
    for number, plugin in enumerate(plugins):
        panels.add(plugin, f"plugin {number}")
    panel = EditPanel(panels)
    qtbot.addWidget(panel)
    panel.set_catalogue(ready)
    panel.set_facts(has_image=True, has_mask=False)
    panel.set_recipe(Recipe(source="a cat", target="a dog", editor="swap", inverter="straight"))
    panel.show()
    return panel, panels


def test_a_custom_panel_stands_above_the_generated_form(qtbot, ready):
    panel, panels = shown_by(qtbot, ready, Plugin(lambda: QLabel("mine", objectName="mine")))
    mine, form = panel.findChild(QLabel, "mine"), panel.findChild(QSlider, "share_slider")
    assert mine.mapTo(panel, mine.rect().topLeft()).y() < form.mapTo(panel, form.rect().topLeft()).y()
    assert panels.broken == ()


@pytest.mark.parametrize(
    ("make", "says"),
    [(lambda: 1 / 0, "division by zero"), (lambda: "not a widget", "must return a QWidget, not str")],
)
def test_a_panel_that_fails_is_named_and_the_next_one_is_asked(qtbot, ready, make, says):
    good, bad = Plugin(lambda: QLabel("mine", objectName="mine")), Plugin(make)
    panel, panels = shown_by(qtbot, ready, good, bad)
    assert [broken.plugin for broken in panels.broken] == ["panel plugin 1"]
    assert says in panels.broken[0].error
    assert "Traceback" in panels.broken[0].details
    assert panel.findChild(QLabel, "mine") is not None
    assert panel.findChild(QSlider, "share_slider").isVisible()


def test_entry_points_are_loaded_each_in_a_try_of_its_own():
    panels = Panels()
    told = []
    panels.broke.connect(told.append)
    points = (
        EntryPoint("gone", "sfumato_no_such_module", GROUP),
        EntryPoint("p2p", "sfumato_plugins.panels.word_weights", GROUP),
    )
    panels.load(points)
    assert [broken.plugin for broken in panels.broken] == ["panel gone"]
    assert told == list(panels.broken)
    assert "sfumato_no_such_module" in panels.broken[0].error


def test_a_hook_of_the_wrong_shape_is_reported():
    class Odd:
        @hookimpl
        def custom_panel(self, method, colour):
            return None

    panels = Panels()
    with pytest.raises(Exception, match="colour"):
        panels.add(Odd(), "odd")


def test_the_bridge_reads_sets_and_tells(qtbot, ready):
    plugin = Plugin(QLabel)
    panel, _ = shown_by(qtbot, ready, plugin)
    told = []
    plugin.bridge.on_change(lambda: told.append(plugin.bridge.target()))
    assert (plugin.bridge.source(), plugin.bridge.target(), plugin.bridge.value("share")) == (
        "a cat",
        "a dog",
        0.8,
    )
    with qtbot.waitSignal(panel.changed):
        plugin.bridge.set_value("share", 0.3)
    with qtbot.waitSignal(panel.changed):
        plugin.bridge.set_word_weights({"dog": 2.0})
    assert panel.recipe().editor_values == {"share": 0.3}
    assert panel.recipe().word_weights == {"dog": 2.0}
    panel.set_recipe(Recipe(source="a cat", target="a fox", editor="swap", inverter="straight"))
    assert told[-1] == "a fox"


def test_the_bridge_refuses_what_does_not_exist(qtbot, ready):
    plugin = Plugin(QLabel)
    shown_by(qtbot, ready, plugin)
    with pytest.raises(InputError, match="no parameter 'shine'; there are share, size"):
        plugin.bridge.value("shine")
    with pytest.raises(InputError, match="'dog' must lie between 0 and 3"):
        plugin.bridge.set_word_weights({"dog": 4.0})


def test_a_panel_that_cannot_follow_is_not_asked_again(qtbot, ready):
    plugin = Plugin(QLabel)
    panel, _ = shown_by(qtbot, ready, plugin)
    asked = []

    def fail():
        asked.append(True)
        raise ValueError

    plugin.bridge.on_change(fail)
    panel.set_facts(has_image=True, has_mask=True)
    panel.set_facts(has_image=True, has_mask=False)
    assert asked == [True]


class Words:
    """A bridge without a window."""

    def __init__(self, source, target):
        self._source, self._target = source, target
        self.weights, self.told = {}, None

    def source(self):
        return self._source

    def target(self):
        return self._target

    def word_weights(self):
        return self.weights

    def set_word_weights(self, weights):
        self.weights = {word: weight for word, weight in weights.items() if weight != 1}
        self.told()

    def on_change(self, callback):
        self.told = callback

    def say(self, target):
        self._target = target
        self.told()


@pytest.fixture
def bridge():
    return Words("a photo of a cat", "a photo in snow of a Dog")


@pytest.fixture
def weights(qtbot, bridge):
    made = word_weights.custom_panel("p2p", bridge, None)
    qtbot.addWidget(made)
    made.show()
    return made


def test_it_is_for_prompt_to_prompt_alone(bridge):
    assert word_weights.custom_panel("reprompt", bridge, None) is None


def test_one_row_per_word_with_changed_words_marked(weights):
    rows = [label.text() for label in weights.findChildren(QLabel) if "“" in label.toolTip()]
    assert rows == ["a", "photo", "+ in", "+ snow", "of", "~ Dog"]


def test_slider_number_and_reset_agree(weights, bridge):
    slider, number = (
        weights.findChild(QSlider, "weight_dog_slider"),
        weights.findChild(QDoubleSpinBox, "weight_dog_number"),
    )
    reset, reset_all = (
        weights.findChild(QToolButton, "weight_dog_reset"),
        weights.findChild(QToolButton, "weights_reset_all"),
    )
    assert not reset.isVisible()
    assert not reset_all.isEnabled()
    slider.setValue(30)
    assert bridge.weights == {"dog": 1.5}
    assert number.value() == 1.5
    number.setValue(0.33)
    assert bridge.weights == {"dog": 0.33}
    assert reset.isVisible()
    reset.click()
    assert bridge.weights == {}
    assert (slider.value(), number.value()) == (20, 1.0)
    number.setValue(2)
    reset_all.click()
    assert bridge.weights == {}


def test_the_rows_can_be_folded_away(weights, bridge):
    number = weights.findChild(QDoubleSpinBox, "weight_dog_number")
    number.setValue(2)
    fold, reset = (
        weights.findChild(QToolButton, "weights_fold"),
        weights.findChild(QToolButton, "weight_dog_reset"),
    )
    assert number.isVisible()
    fold.click()
    bridge.told()
    assert not number.isVisible()
    assert not reset.isVisible()
    fold.click()
    assert number.isVisible()
    assert reset.isVisible()


def test_rows_follow_the_prompt(weights, bridge):
    bridge.weights = {"fox": 2.0}
    bridge.say("a fox")
    assert weights.findChild(QSlider, "weight_fox_slider").value() == 40
    assert weights.findChild(QSlider, "weight_dog_slider") is None
    assert [row.isVisible() for row in weights.findChildren(QSlider)] == [True, True]
    bridge.say("")
    assert weights.findChildren(QSlider) == []
    bridge.say("a fox in snow")
    assert len(weights.findChildren(QSlider)) == 4


def test_a_row_that_keeps_its_place_keeps_the_focus(weights, bridge, qtbot):
    with qtbot.waitActive(weights):
        weights.activateWindow()
    number = weights.findChild(QDoubleSpinBox, "weight_photo_number")
    number.setFocus()
    bridge.say("a photo in snow of a Doge")
    assert weights.findChild(QDoubleSpinBox, "weight_photo_number") is number
    assert number.hasFocus()
