"""The main window: its parts side by side, its looks, and what Qt sends to a window."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QEvent, QMimeData, QSize, Qt
from PySide6.QtGui import QActionGroup, QCloseEvent, QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QMainWindow, QMenu, QStackedWidget

from sfumato.settings import Settings, load_settings
from sfumato_desktop import theme
from sfumato_desktop.actions import Actions
from sfumato_desktop.brush_settings import BrushSettings
from sfumato_desktop.canvas import Canvas
from sfumato_desktop.docks import Dock
from sfumato_desktop.edit_panel import EditPanel
from sfumato_desktop.jobs import Jobs
from sfumato_desktop.layers_dock import LayersDock
from sfumato_desktop.librarian import Librarian
from sfumato_desktop.modes import Modes
from sfumato_desktop.panels import Panels
from sfumato_desktop.preferences import Preferences
from sfumato_desktop.samples import Sample
from sfumato_desktop.start import StartScreen
from sfumato_desktop.status import StatusBar
from sfumato_desktop.tool_bars import OptionsBar, tools_bar
from sfumato_desktop.workbench import Workbench

DEFAULT_SIZE = QSize(1366, 768)
ROOM_FOR_TWO = 640
"""Logical pixels of height from which both docks are usable above one another."""
_DOCK_WIDTH, _EDIT_SHARE = 350, 0.68


class MainWindow(QMainWindow):
    """One open document at a time, between docks. What happens to it is the workbench's."""

    def __init__(
        self,
        jobs: Jobs,
        preferences: Preferences,
        *,
        panels: Panels,
        samples: Sequence[Sample] = (),
        device: str = "",
        settings: Settings | None = None,
    ) -> None:
        """`settings` are the person's, read anew if absent."""
        super().__init__()
        self.setObjectName("window")
        self.setAcceptDrops(True)
        self.jobs = jobs
        self.preferences = preferences
        self.librarian = Librarian(settings or load_settings(), self)
        brush = BrushSettings(self)
        self.canvas = Canvas(brush)
        self.registry = Actions(self, self.canvas)
        self.modes = Modes(self.registry, self.canvas, brush)
        self.start = StartScreen(self.registry, samples)
        self.panels = panels
        self.panel = EditPanel(panels)
        self.layers = LayersDock(self.registry)
        self.status = StatusBar(self.registry, device)
        self._lay_out(brush)
        self.workbench = Workbench(self)
        self.workbench.session_changed.connect(self._session_changed)
        self._session_changed()

    # Building ----------------------------------------------------------------------------------

    def _lay_out(self, brush: BrushSettings) -> None:
        self._pages = QStackedWidget()
        self._pages.addWidget(self.start)
        self._pages.addWidget(self.canvas)
        self.setCentralWidget(self._pages)
        self._tools, self._options = tools_bar(self.registry), OptionsBar(self.registry, brush)
        self.addToolBar(Qt.ToolBarArea.TopToolBarArea, self._options)
        self.addToolBar(Qt.ToolBarArea.LeftToolBarArea, self._tools)
        self.docks = (Dock("Edit", "dock_edit", self.panel), Dock("Layers", "dock_layers", self.layers))
        self.setStatusBar(self.status)
        self.resize(DEFAULT_SIZE.boundedTo(self.screen().availableSize()))
        self.default_layout()
        menus = self.registry.fill(self.menuBar())
        self._fill_window_menu(menus["Help"])
        self._recent = QMenu("Open &recent", self)
        self._recent.setObjectName("menu_recent")
        self._recent.aboutToShow.connect(self._fill_recent_menu)
        menus["File"].insertMenu(self.registry["new_from_clipboard"], self._recent)
        if (kept := self.preferences.layout()) is not None:
            self.restoreGeometry(kept[0])
            self.restoreState(kept[1])

    def default_layout(self) -> None:
        """Docks at the right: one above the other, or as tabs where there is no room for that."""
        edit, layers = self.docks
        for dock in self.docks:
            dock.setFloating(False)
            dock.show()
            self.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
        if self.height() < ROOM_FOR_TWO:
            self.tabifyDockWidget(edit, layers)
            edit.raise_()
        else:
            tall = round(self.height() * _EDIT_SHARE)
            self.resizeDocks(self.docks, [tall, self.height() - tall], Qt.Orientation.Vertical)
        self.resizeDocks(self.docks, [_DOCK_WIDTH, _DOCK_WIDTH], Qt.Orientation.Horizontal)

    def _fill_recent_menu(self) -> None:
        self._recent.clear()
        for path in self.preferences.recent:
            action = self._recent.addAction(path.name)
            action.setToolTip(str(path))
            action.triggered.connect(lambda _checked=False, chosen=path: self.workbench.filing.open(chosen))
        if self._recent.isEmpty():
            self._recent.addAction("Nothing yet").setEnabled(False)

    def _fill_window_menu(self, before: QMenu) -> None:
        menu = QMenu("&Window", self)
        menu.setObjectName("menu_window")
        self.menuBar().insertMenu(before.menuAction(), menu)
        for each in (*self.docks, self._tools, self._options):
            menu.addAction(each.toggleViewAction())
        reset = menu.addAction("&Reset layout", self.default_layout)
        reset.setObjectName("action_reset_layout")
        reset.setToolTip("Put the docks back where they were at first")
        menu.addSeparator()
        group = QActionGroup(self)
        for name, title in theme.THEMES.items():
            action = menu.addAction(title)
            action.setObjectName(f"theme_{name}")
            action.setCheckable(True)
            action.setChecked(name == self.preferences.theme)
            action.triggered.connect(lambda _checked=False, chosen=name: self.set_theme(chosen))
            group.addAction(action)

    # Documents ---------------------------------------------------------------------------------

    def _session_changed(self) -> None:
        """Another document is open, or none."""
        session = self.workbench.session
        present = session is not None
        self._pages.setCurrentWidget(self.canvas if present else self.start)
        self._tools.setVisible(present)
        self._options.setVisible(present)
        self.registry.have_document(present)
        self.start.show_recent(self.preferences.recent)
        if session is not None:
            session.title_changed.connect(self.show_title)
        (self.canvas if present else self.start).setFocus()
        self.show_title()

    def show_title(self) -> None:
        session = self.workbench.session
        self.setWindowTitle("Sfumato" if session is None else f"{session.title}[*] — Sfumato")
        self.setWindowModified(session is not None and session.modified)

    # Looks -------------------------------------------------------------------------------------

    def set_theme(self, name: str) -> None:
        """Dress the application anew and remember it."""
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        self.preferences.set_theme(name)
        theme.apply(application, name)

    # What Qt sends -----------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if _dropped_file(event.mimeData()) is not None:
            event.acceptProposedAction()
            self.start.show_dragging(True)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self.start.show_dragging(False)

    def dropEvent(self, event: QDropEvent) -> None:
        self.start.show_dragging(False)
        path = _dropped_file(event.mimeData())
        if path is not None:
            event.acceptProposedAction()
            self.workbench.filing.open(path)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.WindowStateChange, QEvent.Type.ActivationChange):
            self.workbench.look(not self.isMinimized())

    def closeEvent(self, event: QCloseEvent) -> None:
        if not self.workbench.close():
            event.ignore()
            return
        self.preferences.set_layout(self.saveGeometry(), self.saveState())
        event.accept()


def _dropped_file(data: QMimeData) -> Path | None:
    return next((Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()), None)
