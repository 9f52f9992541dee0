"""Which editor and which inverter, and the values of each; what cannot work is disabled and says why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any, Literal

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from sfumato.events import ModelInfo, Ready
from sfumato.method import MethodInfo, Recipe
from sfumato.pairing import Facts, refusal
from sfumato.params import Value
from sfumato.starting import starting_inverter, starting_values
from sfumato_desktop.chooser import Chooser, Option
from sfumato_desktop.form_host import FormHost
from sfumato_desktop.forms import Form
from sfumato_desktop.glyphs import GlyphButton
from sfumato_desktop.method_text import describe

Kind = Literal["editor", "inverter"]
KINDS: tuple[Kind, Kind] = ("editor", "inverter")
Pair = tuple[str, str]
"""A model and an editor, by name."""
MakePanel = Callable[[str, Form], QWidget | None]
_ALL_THERE = Facts(True, True, frozenset({"any"}), "a", "b", "c", concepts=True, weights_differ=True)
"""Facts that hide what a person can still supply, and leave what can never work."""


def followed(
    values: Mapping[str, Value], method: MethodInfo, before: Mapping[str, Value], now: Mapping[str, Value]
) -> dict[str, Value]:
    """A method's values gone from what one model wishes to what another does; what was set stays."""
    found = dict(values)
    for control in method.controls:
        usual, other = (wishes.get(control.name, control.default) for wishes in (before, now))
        if usual != other and found.get(control.name, control.default) == usual:
            found[control.name] = other
    return found


class MethodBox(QWidget):
    """The method part of a recipe. Values are remembered for every method, whether it is shown or not."""

    edited = Signal()
    rebuilt = Signal()
    """There are new forms."""
    switched = Signal(tuple, tuple)
    """The person took another model or editor: the `Pair` before, and the new one. `edited` follows."""
    models_wanted = Signal()
    """The person wants to see, add or remove models."""

    def __init__(self, make_panel: MakePanel) -> None:
        super().__init__()
        self._make_panel = make_panel
        self._methods: dict[tuple[str, str], MethodInfo] = {}
        self._models: dict[str, ModelInfo] = {}
        self._values: dict[tuple[Kind, str], dict[str, Value]] = {}
        self._names: dict[Kind, str] = {"editor": Recipe().editor, "inverter": Recipe().inverter}
        self._model_name = Recipe().model
        self._loaded = False
        self._facts = Facts(has_image=False, has_mask=False)
        self.editors = Chooser("Edit with", "editor", "How the picture is changed")
        self.inverters = Chooser("Invert with", "inverter", "How the photo is turned into noise and back")
        self.models = Chooser("Model", "model", "The network that paints")
        manage = GlyphButton("plus", "manage_models", "Models…", "Add, look at and choose models")
        manage.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        manage.clicked.connect(self.models_wanted)
        self.models.add_beside(manage)
        self._hosts: dict[Kind, FormHost] = {
            "editor": FormHost("editor"),
            "inverter": FormHost("inverter"),
        }
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        for widget in (self.editors, self.inverters, self.models, *self._hosts.values()):
            column.addWidget(widget)
        self.editors.chosen.connect(lambda name: self._choose("editor", name))
        self.inverters.chosen.connect(lambda name: self._choose("inverter", name))
        self.models.chosen.connect(self.choose_model)
        self._show()

    def set_catalogue(self, ready: Ready) -> None:
        """Offer what there is; what was chosen and set before stays."""
        self._loaded = True
        self._methods = {(info.kind, info.name): info for info in ready.methods}
        self._models = {info.name: info for info in ready.models}
        for host in self._hosts.values():
            host.empty()
        self._show()

    def set_facts(self, facts: Facts) -> None:
        """Say what there is to work with, for the list of needs."""
        if facts != self._facts:
            self._facts = facts
            self._describe()

    def set_recipe(self, recipe: Recipe) -> None:
        """Show a recipe's methods and values; emits nothing."""
        self._names = {"editor": recipe.editor, "inverter": recipe.inverter}
        self._values["editor", recipe.editor] = dict(recipe.editor_values)
        self._values["inverter", recipe.inverter] = dict(recipe.inverter_values)
        self._model_name = recipe.model
        self._show()
        for kind in KINDS:
            self._fill(kind)

    def part(self) -> dict[str, Any]:
        """The method part of the recipe."""
        editor, inverter = self._names["editor"], self._names["inverter"]
        return {
            "editor": editor,
            "editor_values": dict(self._values.get(("editor", editor), {})),
            "inverter": inverter,
            "inverter_values": dict(self._values.get(("inverter", inverter), {})),
            "model": self._model_name,
        }

    @property
    def loaded(self) -> bool:
        return self._loaded

    def method(self, kind: Kind) -> MethodInfo | None:
        """The chosen method, or None if its plugin is missing."""
        return self._methods.get((kind, self._names[kind]))

    def model(self) -> ModelInfo | None:
        return self._models.get(self._model_name)

    def pair(self) -> Pair:
        """The chosen model and editor."""
        return self._model_name, self._names["editor"]

    def missing(self) -> str | None:
        """The name of a chosen method whose plugin is missing."""
        kinds = KINDS if self._inverts() else KINDS[:1]
        return next((self._names[kind] for kind in kinds if self._loaded and self.method(kind) is None), None)

    def _inverts(self) -> bool:
        editor = self.method("editor")
        return editor is None or editor.inversion != "none"

    def _choose(self, kind: Kind, name: str) -> None:
        """Take a method; where the chosen model cannot do it, one that can comes along."""
        before = self.pair()
        self._names[kind] = name
        info = self.method(kind)
        able = self._able(info) if info is not None and kind == "editor" else None
        self._switch(before, able.name if able is not None else self._model_name)

    def choose_model(self, name: str) -> None:
        """Take a model, as if the person had."""
        self._switch(self.pair(), name)

    def _switch(self, before: Pair, model: str) -> None:
        """Go on with a model; what was not set by hand follows it."""
        self._model_name = model
        self._follow_inverter(self._models.get(before[0]), before[1])
        for info in self._methods.values():
            if info.kind == "editor" and ("editor", info.name) in self._values:
                wishes = (starting_values(self._models.get(name), info) for name in (before[0], model))
                self._values["editor", info.name] = followed(self._values["editor", info.name], info, *wishes)
        self._show()
        self._fill("editor")
        if before != self.pair():
            self.switched.emit(before, self.pair())
        self.edited.emit()

    def follow_models(self) -> None:
        """Take the way to invert that suits the model, where nobody chose one; no model was known before."""
        self._follow_inverter(None, self._names["editor"])
        self._show()

    def _follow_inverter(self, model: ModelInfo | None, editor: str) -> None:
        """Go from what suited another model and editor to what suits the chosen ones."""
        if self._names["inverter"] == starting_inverter(model, editor):
            self._names["inverter"] = starting_inverter(self.model(), self._names["editor"])

    def _show(self) -> None:
        self.editors.show_options(self._options("editor"), self._names["editor"])
        self.inverters.show_options(self._options("inverter"), self._names["inverter"])
        self.models.show_options(self._model_options(), self._model_name)
        self.models.setVisible(self.models.combo.count() > 1 or (self._loaded and self.model() is None))
        self.inverters.setVisible(self._inverts())
        for kind, host in self._hosts.items():
            info = self.method(kind)
            if host.show_method(info if info and (kind == "editor" or self._inverts()) else None):
                self._connect(kind)
                self.rebuilt.emit()
        self._describe()

    def _connect(self, kind: Kind) -> None:
        """Fill a new form, and let it and its custom panel change the values."""
        form = self._hosts[kind].form
        self._fill(kind)
        if form is not None:
            form.edited.connect(lambda: self._remember(kind, form))
            if kind == "editor":
                self._hosts[kind].add_panel(self._make_panel(self._names[kind], form))

    def _fill(self, kind: Kind) -> None:
        form, name = self._hosts[kind].form, self._names[kind]
        if form is not None:
            info = self.method(kind)
            fresh = starting_values(self.model(), info) if info and kind == "editor" else {}
            form.set_usual(fresh)
            form.set_values(self._values.get((kind, name), fresh))
            self._values[kind, name] = form.values()

    def _remember(self, kind: Kind, form: Form) -> None:
        self._values[kind, self._names[kind]] = form.values()
        self.edited.emit()

    def _options(self, kind: Kind) -> list[Option]:
        infos = [info for (each, _), info in self._methods.items() if each == kind]
        options = [self._option(info) for info in infos]
        chosen = self._names[kind]
        if chosen not in {option.name for option in options}:
            title = f"missing plugin “{chosen}”" if self._loaded else "Loading the methods…"
            options.append(Option(chosen, title))
        return options

    def _option(self, info: MethodInfo) -> Option:
        able = self._able(info) if info.kind == "editor" else None
        if able is None or able.name == self._model_name:
            return Option(info.name, info.title, self._refused(info, self.model()))
        return Option(info.name, f"{info.title} (with {able.title})")

    def _able(self, info: MethodInfo) -> ModelInfo | None:
        """The model to use an editor with: the chosen one if it can, else the first there is that can."""
        chosen = self.model()
        models = [*([chosen] if chosen else ()), *self._models.values()]
        return next((model for model in models if self._refused(info, model) is None), None)

    def _refused(self, info: MethodInfo, model: ModelInfo | None) -> str | None:
        """Why a method can never work with a model and the other methods there are."""
        if info.kind == "inverter":
            editor = self.method("editor")
            return refusal(editor, info, model, facts=_ALL_THERE) if editor else None
        inverters: list[MethodInfo | None] = [
            i for (kind, _), i in self._methods.items() if kind == "inverter"
        ]
        reasons = [refusal(info, each, model, facts=_ALL_THERE) for each in inverters or [None]]
        return None if None in reasons else reasons[0]

    def _model_options(self) -> list[Option]:
        options = [Option(info.name, info.title) for info in self._models.values()]
        if self._model_name not in self._models:
            options.append(
                Option(self._model_name, self._model_name.replace("\\", "/").rstrip("/").split("/")[-1])
            )
        return options

    def _describe(self) -> None:
        for kind, chooser in zip(KINDS, (self.editors, self.inverters), strict=True):
            info = self.method(kind)
            chooser.describe(describe(info, self._facts) if info else "")
        model = self.model()
        self.models.describe(escape(model.note) if model else "")
