"""The canvas's modes: which tool is in hand, quick mask, overlay, wipe; kept in step with their actions."""

from __future__ import annotations

from PySide6.QtCore import QObject
from PySide6.QtGui import QActionGroup

from sfumato_desktop.actions import Actions
from sfumato_desktop.brush_settings import BrushSettings
from sfumato_desktop.canvas import Canvas
from sfumato_desktop.canvas_tools import Tool

TOOLS: tuple[Tool, ...] = ("hand", "brush", "eraser")


class Modes(QObject):
    """Painting tools bring the overlay along; quick mask goes between painting and moving."""

    def __init__(self, actions: Actions, canvas: Canvas, brush: BrushSettings) -> None:
        super().__init__(canvas)
        self._actions = actions
        self._canvas = canvas
        group = QActionGroup(self)
        for tool in TOOLS:
            group.addAction(actions[tool])
        actions["hand"].setChecked(True)
        actions.bind(
            {
                "hand": lambda on: self._take("hand") if on else None,
                "brush": lambda on: self._take("brush") if on else None,
                "eraser": lambda on: self._take("eraser") if on else None,
                "quick_mask": self._quick_mask,
                "overlay": canvas.show_overlay,
                "wipe": lambda on: canvas.set_wipe(0.5 if on else None),
                "smaller": brush.smaller,
                "larger": brush.larger,
                "softer": brush.softer,
                "harder": brush.harder,
            }
        )

    def document_opened(self, *, has_mask: bool) -> None:
        """Begin again: hand, no comparison, and the mask shown if there is one."""
        self.show_picture()
        self._actions["wipe"].setChecked(False)
        self._actions["overlay"].setChecked(has_mask)
        self._canvas.show_overlay(has_mask)

    def show_picture(self) -> None:
        """Put the brush down and take the mask's tint out of the way."""
        self._actions["quick_mask"].setChecked(False)
        self._actions["hand"].setChecked(True)
        self._actions["overlay"].setChecked(False)

    def _take(self, tool: Tool) -> None:
        self._canvas.tools.choose(tool)
        if tool != "hand":
            self._actions["overlay"].setChecked(True)
            self._actions["quick_mask"].setChecked(True)

    def _quick_mask(self, on: bool) -> None:
        if on and self._canvas.tools.tool == "hand":
            self._actions["brush"].setChecked(True)
        if not on:
            self._actions["hand"].setChecked(True)
        self._actions["overlay"].setChecked(on)
