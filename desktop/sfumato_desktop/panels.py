"""Custom panels of plugins: each is loaded in a try of its own, and one that fails is named, not fatal."""

from __future__ import annotations

import traceback
from importlib.metadata import EntryPoint, entry_points

import pluggy
from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from sfumato import hookspecs
from sfumato.events import Broken
from sfumato.hookspecs import PanelBridge

GROUP = "sfumato.panels"


class Panels(QObject):
    """The panels there are, and those that could not be used."""

    broke = Signal(Broken)

    def __init__(self) -> None:
        super().__init__()
        self._plugins = pluggy.PluginManager("sfumato")
        self._plugins.add_hookspecs(hookspecs)
        self._broken: dict[str, Broken] = {}

    @property
    def broken(self) -> tuple[Broken, ...]:
        return tuple(self._broken.values())

    def load(self, points: tuple[EntryPoint, ...] | None = None) -> None:
        """Load the entry points of group `sfumato.panels`, or the given ones."""
        for point in entry_points(group=GROUP) if points is None else points:
            try:
                self.add(point.load(), point.name)
            except Exception as error:
                self._report(point.name, "could not be loaded", error)

    def add(self, plugin: object, name: str) -> None:
        """Register one plugin; raises what pluggy raises for a hook of the wrong shape."""
        self._plugins.register(plugin, name)
        self._plugins.check_pending()

    def panel(self, method: str, bridge: PanelBridge, parent: QWidget) -> QWidget | None:
        """The first panel that a plugin has for a method, the last registered plugin first."""
        for name, plugin in reversed(self._plugins.list_name_plugin()):
            made = self._ask(name, plugin, (method, bridge, parent))
            if made is not None:
                return made
        return None

    def _ask(self, name: str, plugin: object, question: tuple[str, PanelBridge, QWidget]) -> QWidget | None:
        """Ask one plugin alone, so that its failure is its own."""
        others = [other for other in self._plugins.get_plugins() if other is not plugin]
        hook = self._plugins.subset_hook_caller("custom_panel", others)
        method, bridge, parent = question
        try:
            made = hook(method=method, bridge=bridge, parent=parent)
            if made is not None and not isinstance(made, QWidget):
                raise TypeError(f"custom_panel must return a QWidget, not {type(made).__name__}")
        except Exception as error:
            self._report(name, f"failed to make its panel for {method}", error)
            return None
        return made

    def _report(self, name: str, what: str, error: Exception) -> None:
        if name not in self._broken:
            details = "".join(traceback.format_exception(error))
            self._broken[name] = Broken(f"panel {name}", f"It {what}: {error}", details)
            self.broke.emit(self._broken[name])
