"""One model: what it is made of, where it is, under which licence, and what edits with it start with."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QFormLayout, QFrame, QLabel, QPlainTextEdit, QScrollArea, QVBoxLayout, QWidget

from sfumato.events import ModelInfo
from sfumato.models.shelf import Details, Shelved
from sfumato.settings import ModelDefaults
from sfumato_desktop.forms import Form
from sfumato_desktop.named import named, push_button
from sfumato_desktop.settings_box import SETTINGS
from sfumato_desktop.size_field import SizeField

CONTROLS = tuple(replace(each, advanced=False) for each in SETTINGS if each.name in ("steps", "guidance"))
_FACTS = {
    "place": "Place",
    "origin": "Comes from",
    "family": "Family",
    "size": "Drawn at",
    "bytes": "On disk",
    "hash": "SHA-256",
}
_LICENCE_HEIGHT, _SHORT = 96, 120


class ModelPage(QScrollArea):
    """Facts first, then the person's own defaults for this model."""

    hash_wanted = Signal(str)
    defaults_edited = Signal(str, ModelDefaults)

    def __init__(self) -> None:
        super().__init__()
        named(self, "model_page", "The chosen model", "")
        self.setToolTip("")
        self._model: Shelved | None = None
        self._starts: dict[str, int | float] = {}
        """Steps and guidance where the person chose none."""
        self._title = _label("model_title", "Name")
        font = self._title.font()
        font.setBold(True)
        self._title.setFont(font)
        self._note = _label("model_note", "About it")
        self._facts = {name: _label(f"model_{name}", title) for name, title in _FACTS.items()}
        self._hash = push_button(
            "Compute", "model_hash_now", "Read the whole model and hash it; takes a while"
        )
        self._hash.setAutoDefault(False)
        self._licence_title = QLabel("Licence")
        self._licence = named(QPlainTextEdit(), "model_licence", "Licence", "The licence the model came with")
        self._licence.setReadOnly(True)
        self._licence.setTabChangesFocus(True)
        self._defaults_title = QLabel("Edits with this model start with")
        self.size_field = SizeField()
        self.form = Form(CONTROLS, "model_defaults")
        self._lay_out()
        self._hash.clicked.connect(self._ask_hash)
        self.size_field.edited.connect(self._edited)
        self.form.edited.connect(self._edited)
        self.show_model(None)

    def show_model(self, model: Shelved | None) -> None:
        """Show what the list knows; no default can be set before the rest comes with `show_details`."""
        if model is None or self._model is None or model.name != self._model.name:
            self._starts = {}
        self._model = model
        self._let_defaults_be_set()
        body = self.widget()
        assert body is not None
        body.setVisible(model is not None)
        if model is None:
            return
        self._title.setText(model.title)
        self._note.setText(model.problem or model.note)
        self._note.setVisible(bool(self._note.text()))
        told = {"place": str(model.place), "origin": model.origin.value}
        for name, value in self._facts.items():
            value.setText(told.get(name, "…"))
        for part in self._only_usable():
            part.setVisible(not model.problem)
        self._rows.setRowVisible(self._hash_row, not model.problem)
        for name in ("family", "size", "bytes"):
            self._rows.setRowVisible(self._facts[name], not model.problem)

    def show_details(self, details: Details) -> None:
        """Show everything about the model that is shown already."""
        content, model = details.content, details.model
        assert model.size is not None, "only a usable model has details"
        self._facts["family"].setText(content.family)
        self._facts["size"].setText(f"{model.size} × {model.size} px")
        parts = ", ".join(f"{part.name} {in_words(part.bytes)}" for part in content.parts if part.bytes)
        self._facts["bytes"].setText(
            f"{in_words(content.bytes)} ({parts})" if parts else in_words(content.bytes)
        )
        if details.source:
            self._facts["origin"].setText(f"{model.origin.value}: {details.source}")
        self._facts["hash"].clear()
        self._hash.setEnabled(True)
        self._hash.show()
        licence = content.licence or "The model came without a licence text."
        self._licence.setPlainText(licence)
        self._licence.setFixedHeight(_LICENCE_HEIGHT if len(licence) > _SHORT else _LICENCE_HEIGHT // 2)
        self._starts = {name: getattr(details.own, name) for name in self.form.names()}
        self._show_defaults(details.defaults, model)
        self._let_defaults_be_set()

    def show_hash(self, name: str, digest: str) -> None:
        if self._model is not None and name == self._model.name:
            self._facts["hash"].setText(digest)
            self._hash.hide()

    def _let_defaults_be_set(self) -> None:
        for part in (self.form, self.size_field):
            part.setEnabled(bool(self._starts))

    def _show_defaults(self, defaults: ModelDefaults, model: Shelved) -> None:
        with QSignalBlocker(self.form), QSignalBlocker(self.size_field):
            self.size_field.follow(ModelInfo(model.name, model.title, model.size or 512, 8, frozenset()))
            self.size_field.set_value(defaults.size)
            kept = defaults.model_dump(include=set(self.form.names()), exclude_none=True)
            self.form.set_values(self._starts | kept)

    def _edited(self) -> None:
        if self._model is None or self._model.size is None:
            return
        native, size = (self._model.size, self._model.size), self.size_field.value()
        values = {name: self.form.field(name).value() for name in self.form.names()}
        kept = {name: value for name, value in values.items() if value != self._starts[name]}
        made = ModelDefaults.model_validate({**kept, "size": None if size == native else size})
        self.defaults_edited.emit(self._model.name, made)

    def _ask_hash(self) -> None:
        if self._model is not None:
            self._hash.setEnabled(False)
            self._facts["hash"].setText("Reading the files…")
            self.hash_wanted.emit(self._model.name)

    def _only_usable(self) -> tuple[QWidget, ...]:
        return self._licence_title, self._licence, self._defaults_title, self.size_field, self.form

    def _lay_out(self) -> None:
        body = QWidget()
        body.setObjectName("model_body")
        column = QVBoxLayout(body)
        column.setContentsMargins(12, 0, 8, 0)
        column.setSpacing(8)
        self._rows = QFormLayout()
        self._rows.setHorizontalSpacing(12)
        self._rows.setVerticalSpacing(4)
        for name, title in _FACTS.items():
            if name != "hash":
                self._rows.addRow(title, self._facts[name])
        self._hash_row = QWidget()
        line = QVBoxLayout(self._hash_row)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self._facts["hash"])
        line.addWidget(self._hash, 0, Qt.AlignmentFlag.AlignLeft)
        self._rows.addRow(_FACTS["hash"], self._hash_row)
        column.addWidget(self._title)
        column.addWidget(self._note)
        column.addLayout(self._rows)
        for part in self._only_usable():
            column.addWidget(part)
        column.addStretch(1)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(body)
        bar = self.verticalScrollBar().sizeHint().width()
        self.setMinimumWidth(body.minimumSizeHint().width() + bar)


def in_words(count: int) -> str:
    """Bytes as people say them: 4.3 GB."""
    size, units = float(count), iter(("bytes", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while size >= 1000 and unit != "TB":
        size, unit = size / 1000, next(units)
    return f"{size:.3g} {unit}"


def _label(name: str, accessible: str) -> QLabel:
    made = named(QLabel(), name, accessible, "")
    made.setToolTip("")
    made.setWordWrap(True)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return made
