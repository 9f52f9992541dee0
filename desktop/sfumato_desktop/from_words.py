"""Asks for a new picture: the words, the size, and how it is drawn. It knows no engine and no document."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QButtonGroup,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLabel,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from sfumato.events import ModelInfo, Ready
from sfumato.method import MethodInfo, Need, Recipe
from sfumato.pairing import Facts, refusal
from sfumato.starting import starting
from sfumato_desktop.chooser import Chooser, Option
from sfumato_desktop.forms import LABEL_WIDTH, RESET_WIDTH, Form
from sfumato_desktop.named import named, scrolled
from sfumato_desktop.prompt_field import PromptField
from sfumato_desktop.seed_field import SeedField
from sfumato_desktop.settings_box import SETTINGS, follow, from_recipe, to_recipe
from sfumato_desktop.size_field import SizeField
from sfumato_desktop.tab_order import follow_layout

_PLAIN = ("negative", "steps", "guidance", "eta", "candidates")
_FOLDED = ("solver", "timestep_offset")
_BY_NAME = {control.name: control for control in SETTINGS}
CONTROLS = (
    *(replace(_BY_NAME[name], advanced=False) for name in _PLAIN),
    *(_BY_NAME[name] for name in _FOLDED),
)
_LABELS = LABEL_WIDTH + RESET_WIDTH + 6
_NEW, _LAYER = 0, 1
_WIDTH, _HEIGHT = 500, 480


def makes_pictures(method: MethodInfo) -> bool:
    """Whether a method wants nothing but words."""
    return method.kind == "editor" and method.inversion == "none" and method.needs <= {Need.TARGET_PROMPT}


class FromWordsDialog(QDialog):
    """New picture from words."""

    asked = Signal(Recipe, bool)
    """Make this; True: as a picture of its own, else as a layer of the open one."""

    def __init__(
        self,
        parent: QWidget | None,
        recipe: Recipe,
        *,
        over_picture: bool,
        starting: Callable[[str, str], dict[str, Any]] = lambda _model, editor: starting(None, editor),
    ) -> None:
        """Start from `recipe`; with a picture open, the result may become a layer of it.

        `starting` says what pictures of a model, made by a method, start with.
        """
        super().__init__(parent)
        named(self, "from_words", "New picture from words")
        self.setToolTip("")
        self.setWindowTitle("New picture from words")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._recipe, self._starting = recipe, starting
        self._models: dict[str, ModelInfo] = {}
        self._method: MethodInfo | None = None
        self._loaded = False
        self.words = PromptField("words_prompt", "The picture shows", "What to draw, in a few words")
        self.words.setPlaceholderText("a red boat on a lake, in the evening")
        self.models = Chooser("Model", "words_model", "The network that paints")
        self.size_field = SizeField()
        self.seed = SeedField()
        self.form = Form(CONTROLS, "words_form")
        self._places = self._place_row(over_picture)
        self._message = named(QLabel(), "words_message", "Why it has to wait", "")
        self._message.setToolTip("")
        self._message.setWordWrap(True)
        self._lay_out()
        self._show(recipe)
        for part in (self.words, self.size_field, self.seed, self.form):
            part.edited.connect(self._refresh)
        self.models.chosen.connect(self._choose_model)
        self._refresh()

    def set_catalogue(self, ready: Ready) -> None:
        """Offer the models there are, and draw with the first method that wants words only."""
        self._loaded = True
        self._models = {model.name: model for model in ready.models}
        self._method = next(filter(makes_pictures, ready.methods), None)
        options = [Option(info.name, info.title) for info in ready.models]
        if self._recipe.model not in self._models and options:
            self._recipe = self._recipe.model_copy(update={"model": options[0].name})
        self.models.show_options(options, self._recipe.model)
        self.models.setVisible(len(options) > 1)
        self._follow_model()

    def recipe(self) -> Recipe:
        """What the dialog shows; everything that belongs to a photo is left at its default."""
        values = {control.name: self.form.field(control.name).value() for control in CONTROLS}
        return Recipe.model_validate(
            {
                "target": self.words.text(),
                "model": self._recipe.model,
                "editor": self._method.name if self._method else "generate",
                "seed": self.seed.value(),
                "size": self.size_field.value(),
                **to_recipe(values),
            }
        )

    def make(self) -> None:
        """Ask for the picture and close, unless something is missing; an unlocked seed is thrown anew."""
        if not self._accept.isEnabled():
            return
        if not self.seed.locked():
            self.seed.renew()
        self.asked.emit(self.recipe(), self._places.checkedId() == _NEW)
        self.accept()

    def _show(self, recipe: Recipe) -> None:
        self.words.set_text(recipe.target)
        self.seed.set_value(recipe.seed)
        self.form.set_values(from_recipe(recipe, self.form.names()))
        self.size_field.set_value(recipe.size)

    def _choose_model(self, name: str) -> None:
        before, now = self._start(self._recipe.model), self._start(name)
        follow(self.form, before, now)
        self._recipe = self._recipe.model_copy(update={"model": name})
        self.size_field.set_value(now.get("size"))
        self._follow_model()

    def _follow_model(self) -> None:
        model = self._models.get(self._recipe.model)
        if model is not None:
            self.size_field.follow(model)
        self.form.set_usual(self._start(self._recipe.model))
        self._refresh()

    def _start(self, model: str) -> dict[str, Any]:
        return self._starting(model, self._method.name if self._method else "")

    def _refresh(self) -> None:
        reason = self._why_not()
        self._accept.setEnabled(reason is None)
        self._message.setText(reason or "")
        self._message.setVisible(bool(reason))

    def _why_not(self) -> str | None:
        if not self._loaded:
            return "Loading the methods…"
        if self._method is None:
            return "No method here makes pictures from words alone."
        facts = Facts(has_image=False, has_mask=False, target=self.words.text())
        if not facts.has(Need.TARGET_PROMPT):
            return "Say what the picture shows."
        return refusal(self._method, None, self._models.get(self._recipe.model), facts=facts)

    def _place_row(self, over_picture: bool) -> QButtonGroup:
        """Into the open picture, where one is open, or apart."""
        group = QButtonGroup(self)
        layer = QRadioButton("a layer of this picture")
        named(
            layer, "words_as_layer", "As a layer", "Lay it in the middle of the open picture; can be undone"
        )
        new = QRadioButton("a new picture")
        named(
            new,
            "words_as_new",
            "As a new picture",
            "Open it on its own; the open picture is closed, saved or not",
        )
        group.addButton(new, _NEW)
        group.addButton(layer, _LAYER)
        (layer if over_picture else new).setChecked(True)
        self._place = QWidget()
        row = QHBoxLayout(self._place)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(14)
        title = QLabel("Becomes")
        title.setFixedWidth(_LABELS - row.spacing() + 6)
        for part in (title, layer, new):
            row.addWidget(part)
        row.addStretch(1)
        self._place.setVisible(over_picture)
        return group

    def _lay_out(self) -> None:
        body = QWidget()
        body.setObjectName("words_body")
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 8, 0)
        column.setSpacing(8)
        title = QLabel(self.words.accessibleName())
        title.setBuddy(self.words)
        for part in (title, self.words, self.models, self.size_field, self.seed, self.form, self._place):
            column.addWidget(part)
        column.addStretch(1)
        scroll = scrolled(body, "words_scroll", "Settings of the new picture")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(18, 16, 18, 14)
        outer.setSpacing(12)
        outer.addWidget(scroll, 1)
        outer.addWidget(self._message)
        outer.addWidget(self._button_row())
        scroll.setMinimumWidth(body.minimumSizeHint().width() + scroll.verticalScrollBar().sizeHint().width())
        self.resize(QSize(_WIDTH, _HEIGHT).boundedTo(self.screen().availableSize()))
        follow_layout(self)

    def _button_row(self) -> QDialogButtonBox:
        buttons = QDialogButtonBox()
        cancel = buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        self._accept = buttons.addButton("Make the picture", QDialogButtonBox.ButtonRole.AcceptRole)
        named(cancel, "words_cancel", "Cancel", "Make nothing (Esc)")
        named(self._accept, "words_make", "Make the picture", "Make the picture (Ctrl+Enter)")
        self._accept.setDefault(True)
        buttons.accepted.connect(self.make)
        buttons.rejected.connect(self.reject)
        for key in ("Ctrl+Return", "Ctrl+Enter"):
            QShortcut(QKeySequence(key), self).activated.connect(self.make)
        return buttons
