"""What every edit has: seed, steps, guidance and the advanced settings, in a generated form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from sfumato.method import Recipe, Solver
from sfumato.params import Control, ControlKind
from sfumato_desktop.forms import Form
from sfumato_desktop.seed_field import SeedField


def _control(name: str, kind: ControlKind, label: str, help: str, **rest: Any) -> Control:
    """A control for a field of the recipe, which knows the default."""
    return Control(name, kind, label, help, Recipe.model_fields[name].default, **rest)


SETTINGS = (
    _control(
        "steps",
        "integer",
        "Steps",
        "How many steps lead to the noise and back. More are slower and more faithful.",
        minimum=1,
        maximum=1000,
        step=1,
    ),
    _control(
        "guidance",
        "number",
        "Guidance",
        "How strongly the picture follows the words. 1 is the least that makes sense; 5 to 8 is usual.",
        minimum=0,
        maximum=50,
        step=0.5,
    ),
    _control("negative", "text", "Not wanted", "What to steer away from, in words.", advanced=True),
    _control(
        "start",
        "number",
        "Skip",
        "Share of the steps to leave out at the noisy end. More keeps more of the photo.",
        unit="share of steps",
        minimum=0,
        maximum=0.99,
        step=0.05,
        advanced=True,
    ),
    _control(
        "solver",
        "choice",
        "Solver",
        "The rule that takes one step. The inversion methods expect ddim.",
        choices=get_args(Solver),
        advanced=True,
    ),
    _control(
        "eta",
        "number",
        "Fresh noise",
        "New noise in every step (eta): 0 is DDIM and repeatable from an inversion, 1 is DDPM.",
        unit="0: DDIM, 1: DDPM",
        minimum=0,
        maximum=1,
        step=0.05,
        advanced=True,
    ),
    Control(
        "timestep_offset",
        "choice",
        "Timesteps",
        "As trained suits every model. As published are those of the papers' code, for comparing with it.",
        "as_trained",
        choices=("as_trained", "as_published"),
        advanced=True,
    ),
    _control(
        "encoding",
        "choice",
        "Photo as",
        "What of the autoencoder's answer to start from: its mean, or one sample as some papers' code does.",
        choices=get_args(Recipe.model_fields["encoding"].annotation),
        advanced=True,
    ),
    _control(
        "candidates",
        "integer",
        "Candidates",
        "How many results to make at once, to choose from.",
        minimum=1,
        maximum=16,
        step=1,
        advanced=True,
    ),
)


_OFFSETS = {"as_trained": 1, "as_published": 0}


def to_recipe(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of these controls as a recipe has them."""
    return {name: _OFFSETS[value] if name == "timestep_offset" else value for name, value in values.items()}


def from_recipe(recipe: Recipe, names: Iterable[str]) -> dict[str, Any]:
    """The recipe's values as these controls show them."""
    shown = {name: getattr(recipe, name) for name in names}
    words = {offset: word for word, offset in _OFFSETS.items()}
    return {name: words[value] if name == "timestep_offset" else value for name, value in shown.items()}


def follow(form: Form, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Have steps, guidance and solver go from one start (`starting`) to another; what was set stays."""
    values = form.values()
    for name in ("steps", "guidance", "solver"):
        if form.field(name).value() == before[name]:
            values[name] = now[name]
    form.set_values(values)


class SettingsBox(QWidget):
    """The settings part of a recipe."""

    edited = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.seed = SeedField()
        self.form = Form(SETTINGS, "settings")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.seed)
        column.addWidget(self.form)
        self.seed.edited.connect(self.edited)
        self.form.edited.connect(self.edited)

    def part(self) -> dict[str, Any]:
        """The settings part of the recipe."""
        values = {control.name: self.form.field(control.name).value() for control in SETTINGS}
        return {"seed": self.seed.value(), **to_recipe(values)}

    def follow(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Go from one start to another, without `edited`; what the person set stays."""
        follow(self.form, before, now)

    def set_usual(self, start: Mapping[str, Any]) -> None:
        """Have reset go to a model's start."""
        self.form.set_usual(start)

    def set_recipe(self, recipe: Recipe) -> None:
        """Show a recipe's settings, without `edited`."""
        self.seed.set_value(recipe.seed)
        self.form.set_values(from_recipe(recipe, self.form.names()))
