"""A catalogue of invented methods: one for each thing a method can ask for."""

from __future__ import annotations

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest

from sfumato.events import ModelInfo, Ready
from sfumato.method import Ability, MethodInfo, Need
from sfumato.params import Control
from sfumato_desktop.edit_panel import EditPanel
from sfumato_desktop.panels import Panels

CONTROLS = (
    Control("share", "number", "Share", "How much.", 0.8, "share of steps", 0, 1, 0.05),
    Control("size", "integer", "Size", "How large.", 4, "px", 1, 64, 1),
    Control("exact", "flag", "Exact", "Whether to be exact.", False),
    Control("mode", "choice", "Mode", "Which way.", "auto", choices=("auto", "as_published")),
    Control("names", "text", "Names", "Which words.", "", advanced=True),
)
_PROMPTS = {Need.IMAGE, Need.SOURCE_PROMPT, Need.TARGET_PROMPT}


def method(kind, name, needs=(), abilities=(), controls=(), inversion="none"):
    """An invented method; its title is its name, capitalised."""
    return MethodInfo(
        kind,
        name,
        name.capitalize(),
        f"What {name} does.",
        "https://example.org/paper",
        frozenset(needs),
        frozenset(abilities),
        tuple(controls),
        inversion,
    )


@pytest.fixture
def ready():
    model = ModelInfo("starter", "Starter", 128, 8, frozenset({Ability.PROMPTS}))
    methods = (
        method("editor", "swap", _PROMPTS, {Ability.PROMPTS}, CONTROLS, "required"),
        method("editor", "paint", {Need.IMAGE, Need.TARGET_PROMPT, Need.MASK}, (), CONTROLS[:1]),
        method("editor", "order", {Need.IMAGE, Need.INSTRUCTION}),
        method("editor", "draw", {Need.TARGET_PROMPT}),
        method("editor", "mix", {Need.IMAGE, Need.CONCEPTS}, (), CONTROLS[:1], "required"),
        method("editor", "look", _PROMPTS, {Ability.ATTENTION}, (), "required"),
        method("inverter", "straight", {Need.SOURCE_PROMPT}, (), CONTROLS[1:2]),
        method("inverter", "noisy"),
        method("inverter", "turned", (), {Ability.ATTENTION}),
    )
    return Ready(methods, (model,), ())


@pytest.fixture
def panel(qtbot, ready):
    """The panel with the catalogue and an open photo, and no custom panels."""
    made = EditPanel(Panels())
    qtbot.addWidget(made)
    made.set_catalogue(ready)
    made.set_facts(has_image=True, has_mask=False)
    made.resize(340, 700)
    made.show()
    return made
