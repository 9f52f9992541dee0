"""Where the control image comes from: made of the photo, or a layer; with a small picture of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from sfumato.method import Pixels, Recipe
from sfumato.params import Value
from sfumato.preprocessor import PreprocessorInfo
from sfumato_desktop import images
from sfumato_desktop.chooser import Chooser, Option
from sfumato_desktop.forms import Form
from sfumato_desktop.named import named, push_button

_THUMB = 84
_LAYER = "layer:"
_FILE = "file:"


class ControlBox(QWidget):
    """The control part of a recipe. A layer that was chosen is the window's to know, not the recipe's."""

    edited = Signal()
    rebuilt = Signal()
    """There is a new form."""
    look_wanted = Signal()
    """The person wants to see the control image that would be made."""
    file_wanted = Signal()
    """The person wants a picture from a file."""

    def __init__(self) -> None:
        super().__init__()
        named(self, "control_box", "Control image", "What the new picture follows")
        self._infos: dict[str, PreprocessorInfo] = {}
        self._values: dict[str, dict[str, Value]] = {}
        self._preprocessor, self._layer = Recipe().preprocessor, ""
        self._layers: tuple[tuple[str, str], ...] = ()
        self._form: Form | None = None
        self._shown: PreprocessorInfo | None = None
        tip = "What the new picture follows: lines of the photo, or a picture of your own"
        self.chooser = Chooser("Follow", "control_source", tip)
        self.look = push_button("Look", "control_look", "See the control image that would be made")
        self._thumb = named(QLabel(), "control_thumbnail", "Control image", "The control image, small")
        self._thumb.setFixedSize(_THUMB, _THUMB)
        self._thumb.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._thumb.hide()
        row = QHBoxLayout()
        row.addWidget(self._thumb)
        row.addWidget(self.look, 0, Qt.AlignmentFlag.AlignTop)
        row.addStretch(1)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(4)
        self._column.addWidget(self.chooser)
        self._column.addLayout(row)
        self.chooser.chosen.connect(self._choose)
        self.look.clicked.connect(self.look_wanted)
        self._show()

    def set_catalogue(self, infos: Iterable[PreprocessorInfo]) -> None:
        """Offer the ways to make a control image there are."""
        self._infos = {info.name: info for info in infos}
        self._show()

    def set_layers(self, layers: Sequence[tuple[str, str]]) -> None:
        """Offer these layers, by id and name."""
        self._layers = tuple(layers)
        if self._layer not in {layer for layer, _name in layers}:
            self._layer = ""
        self._show()

    def choose_layer(self, layer: str) -> None:
        """Follow a layer."""
        self._layer = layer
        self._changed()

    @property
    def layer(self) -> str:
        """The id of the layer to follow; empty where the control image is made of the photo."""
        return self._layer

    def set_recipe(self, recipe: Recipe) -> None:
        """Show a recipe's preprocessor and its values; emits nothing."""
        if recipe.preprocessor != self._preprocessor:
            self.show_thumbnail(None)
        self._preprocessor = recipe.preprocessor
        self._values[recipe.preprocessor] = dict(recipe.preprocessor_values)
        self._show()
        if self._form is not None:
            self._form.set_values(self._values[recipe.preprocessor])

    def part(self) -> dict[str, Any]:
        """The control part of the recipe."""
        name = self._preprocessor
        return {"preprocessor": name, "preprocessor_values": dict(self._values.get(name, {}))}

    def show_thumbnail(self, pixels: Pixels | None) -> None:
        """Show the control image, small; None where it is not known."""
        self._thumb.setVisible(pixels is not None)
        if pixels is None:
            return
        every = max(1, max(pixels.shape[:2]) // (4 * _THUMB))
        ratio = self.devicePixelRatioF()
        whole = QPixmap.fromImage(images.picture(pixels[::every, ::every]))
        how = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        small = whole.scaled(QSize(_THUMB, _THUMB) * ratio, *how)
        small.setDevicePixelRatio(ratio)
        self._thumb.setPixmap(small)

    def _choose(self, name: str) -> None:
        if name == _FILE:
            self._show()  # until a file was chosen, what was chosen stays
            self.file_wanted.emit()
            return
        self._layer = name.removeprefix(_LAYER) if name.startswith(_LAYER) else ""
        if not self._layer:
            self._preprocessor = name
        self._changed()

    def _changed(self) -> None:
        self.show_thumbnail(None)
        self._show()
        self.edited.emit()

    def _show(self) -> None:
        options = [Option(info.name, f"Photo: {info.title}") for info in self._infos.values()]
        if self._preprocessor not in self._infos:
            options.append(Option(self._preprocessor, self._preprocessor.replace("_", " ")))
        options += [Option(_LAYER + layer, f"Layer: {name}") for layer, name in self._layers]
        options.append(Option(_FILE, "File…"))
        self.chooser.show_options(options, _LAYER + self._layer if self._layer else self._preprocessor)
        info = None if self._layer else self._infos.get(self._preprocessor)
        self.chooser.describe("" if info is None else info.summary)
        self.look.setVisible(not self._layer)
        self._show_form(info)

    def _show_form(self, info: PreprocessorInfo | None) -> None:
        if info == self._shown:
            return
        if self._form is not None:
            self._form.hide()
            self._form.deleteLater()
        self._shown, self._form = info, None
        if info is not None and info.controls:
            self._form = Form(info.controls, f"{info.name}_form")
            self._form.set_values(self._values.get(info.name, {}))
            self._form.edited.connect(self._form_edited)
            self._column.addWidget(self._form)
        self.rebuilt.emit()

    def _form_edited(self) -> None:
        if self._form is not None:
            self._values[self._preprocessor] = self._form.values()
            self.show_thumbnail(None)
            self.edited.emit()
