"""What to ask before a picture is written: format, quality, and whether the recipe goes along."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from sfumato_desktop.named import named

FORMATS = {
    "PNG": (".png", False),
    "JPEG": (".jpg", True),
    "WebP": (".webp", True),
    "TIFF": (".tif", False),
}
"""Format: its file ending, and whether quality matters."""


@dataclass(frozen=True)
class ExportChoice:
    """What the person chose."""

    suffix: str
    quality: int
    recipe: bool


class ExportDialog(QDialog):
    """Asks how to export; the place is asked afterwards."""

    def __init__(self, parent: QWidget, title: str) -> None:
        super().__init__(parent)
        named(self, "export_dialog", "Export picture")
        self.setToolTip("")
        self.setWindowTitle(f"Export {Path(title).stem}")
        self.format = named(QComboBox(), "export_format", "Format", "PNG and TIFF keep every pixel exactly")
        self.format.addItems(list(FORMATS))
        self._slider = named(
            QSlider(Qt.Orientation.Horizontal), "export_quality", "Quality", "Higher is larger"
        )
        self.quality = named(QSpinBox(), "export_quality_number", "Quality as a number", "1 to 100")
        for control in (self._slider, self.quality):
            control.setRange(1, 100)
        self._slider.valueChanged.connect(self.quality.setValue)
        self.quality.valueChanged.connect(self._slider.setValue)
        self.quality.setValue(95)
        self.recipe = named(
            QCheckBox("Put the recipe into the file"),
            "export_recipe",
            "Put the recipe into the file",
            "Prompts, method and seed, so that the edit can be repeated; leave out to keep them private",
        )
        self.recipe.setChecked(True)
        self.format.currentTextChanged.connect(self._format_changed)
        self._lay_out()
        self._format_changed(self.format.currentText())

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.addWidget(self._slider, 1)
        row.addWidget(self.quality)
        form = QFormLayout()
        form.addRow("Format", self.format)
        form.addRow("Quality", row)
        form.addRow("", self.recipe)
        buttons = QDialogButtonBox()
        cancel = buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        export = buttons.addButton("Choose place…", QDialogButtonBox.ButtonRole.AcceptRole)
        named(cancel, "export_cancel", "Cancel", "Write nothing")
        named(export, "export_accept", "Choose place", "Choose where to write the file")
        export.setDefault(True)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(18, 16, 18, 14)
        layout.setSpacing(14)
        layout.addLayout(form)
        layout.addWidget(buttons)
        self.setMinimumWidth(380)

    @property
    def choice(self) -> ExportChoice:
        suffix, _lossy = FORMATS[self.format.currentText()]
        return ExportChoice(suffix, self.quality.value(), self.recipe.isChecked())

    def _format_changed(self, name: str) -> None:
        _suffix, lossy = FORMATS[name]
        self._slider.setEnabled(lossy)
        self.quality.setEnabled(lossy)
