"""The place in the panel where one method's custom panel and form are shown."""

from __future__ import annotations

from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from sfumato.method import MethodInfo
from sfumato_desktop.forms import Form
from sfumato_desktop.named import named


class FormHost(QWidget):
    """One method at a time; the form of the last one goes when the next one comes."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._shown: MethodInfo | None = None
        self.form: Form | None = None
        self._title = named(QLabel(), f"{kind}_form_title", f"Settings of the {kind}")
        font = self._title.font()
        font.setBold(True)
        self._title.setFont(font)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 2, 0, 0)
        self._column.setSpacing(6)
        self._column.addWidget(self._title)
        self._panel: QWidget | None = None
        self.hide()

    def show_method(self, info: MethodInfo | None) -> bool:
        """Show a method's form; return whether it is a new one."""
        if info == self._shown:
            return False
        self.empty()
        self._shown = info
        if info is not None:
            self.form = Form(info.controls, f"{info.name}_form")
            self._title.setText(info.title)
            self._column.addWidget(self.form)
            self.setVisible(bool(info.controls))
        return info is not None

    def add_panel(self, panel: QWidget | None) -> None:
        """Put a custom panel above the form."""
        if panel is not None:
            self._panel = panel
            self._column.insertWidget(1, panel)
            self.show()

    def empty(self) -> None:
        for widget in (self.form, self._panel):
            if widget is not None:
                widget.setParent(None)
                widget.deleteLater()
        self.form = self._panel = self._shown = None
        self.hide()
