"""Control images of the open picture: made to be looked at, taken from a layer, brought in from a file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QImageReader
from PySide6.QtWidgets import QFileDialog

from sfumato.document.commands import AddLayer
from sfumato.document.compositor import flatten
from sfumato.document.layers import Document, Layer
from sfumato.method import Pixels
from sfumato_desktop import images
from sfumato_desktop.filing import PICTURES
from sfumato_desktop.running import Runs
from sfumato_desktop.session import Session

if TYPE_CHECKING:
    from sfumato_desktop.window import MainWindow


class Steering(QObject):
    """Keeps the control box in step with the layers, and hands its layer to the runs."""

    said = Signal(str)

    def __init__(self, window: MainWindow, runs: Runs) -> None:
        super().__init__(window)
        self._window, self._box, self._runs = window, window.panel.control, runs
        self._session: Session | None = None
        runs.control_images = self.images
        runs.control_made.connect(self._box.show_thumbnail)
        self._box.look_wanted.connect(self._look)
        self._box.file_wanted.connect(self._ask_for_file)
        self._box.edited.connect(self._show_layer)

    def show_session(self, session: Session | None) -> None:
        """Offer another document's layers."""
        self._session = session
        if session is not None:
            session.structure_changed.connect(self._follow)
        self._box.show_thumbnail(None)
        self._follow()

    def images(self) -> dict[str, Pixels]:
        """The control image that was chosen, if it is not made of the photo and the method looks at one."""
        chosen = None if self._session is None else self._session.layer(self._box.layer)
        if self._session is None or chosen is None or not self._window.panel.follows_control:
            return {}
        document, alone = self._session.document, dataclasses.replace(chosen, visible=True, opacity=1.0)
        return {"control": flatten(Document(document.width, document.height, [alone]))}

    def bring(self, path: Path) -> None:
        """Lay a file in as a hidden layer of the picture's size, and follow it."""
        session = self._session
        if session is None:
            return
        reader = QImageReader(str(path))
        reader.setAutoTransform(True)
        image = reader.read()
        if image.isNull():
            self.said.emit(f"{path.name} could not be read as a picture: {reader.errorString()}.")
            return
        document = session.document
        how = Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation
        pixels = images.from_image(image.scaled(document.width, document.height, *how))
        layer = Layer(f"Control: {path.stem}"[:40], pixels, visible=False)
        session.run(AddLayer(layer))
        self._box.choose_layer(layer.id)

    def _follow(self) -> None:
        layers = self._session.document.layers if self._session is not None else []
        self._box.set_layers([(layer.id, layer.name) for layer in reversed(layers)])

    def _look(self) -> None:
        if self._runs.active:
            self.said.emit("Another run is under way.")
        elif self._session is not None:
            self._runs.make_control(self._window.panel.asked())

    def _show_layer(self) -> None:
        if self._box.layer:
            self._box.show_thumbnail(self.images().get("control"))

    def _ask_for_file(self) -> None:
        folder = self._window.preferences.last_folder
        kinds = f"Pictures ({' '.join(f'*.{ending}' for ending in PICTURES)})"
        chosen, _kind = QFileDialog.getOpenFileName(self._window, "Control image", folder, kinds)
        if chosen:
            self.bring(Path(chosen))
