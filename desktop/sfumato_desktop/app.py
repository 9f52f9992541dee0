"""The composition of the application; what `sfumato` without arguments starts."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QTimer
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication

from sfumato import compose
from sfumato.errors import SfumatoError
from sfumato.settings import Settings
from sfumato_desktop import dialogs, icons, theme
from sfumato_desktop.jobs import Jobs
from sfumato_desktop.panels import Panels
from sfumato_desktop.preferences import Preferences
from sfumato_desktop.samples import load_samples
from sfumato_desktop.status import device_text
from sfumato_desktop.window import MainWindow

SELF_TEST = "--self-test"
"""Close once the window has been painted: `sfumato --self-test` opens it so, to see that it can."""


def main(argv: Sequence[str] | None = None) -> int:
    """Open the window, with the files named on the command line; returns the exit code.

    `--self-test` opens it, lets it paint, and closes it again without an engine.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    application = make_application(arguments)
    window = make_window(compose.chosen())
    theme.apply(application, window.preferences.theme)
    window.set_theme(window.preferences.theme)
    _show_bugs(window)
    window.show()
    for path in (Path(argument) for argument in arguments if not argument.startswith("-")):
        window.workbench.filing.open(path)
    # The engine imports torch: only once the window has been painted.
    QTimer.singleShot(0, window.close if SELF_TEST in arguments else window.jobs.start)
    return application.exec()


def make_application(arguments: Sequence[str]) -> QApplication:
    """The Qt application with our name on it. Raises `SfumatoError` where there is no display."""
    _expect_display()
    application = QApplication.instance() or QApplication(["sfumato", *arguments])
    assert isinstance(application, QApplication)
    application.setApplicationName("sfumato")
    application.setApplicationDisplayName("Sfumato")
    application.setDesktopFileName("org.sfumato.Sfumato")
    return application


def _expect_display() -> None:
    """Say so in a sentence, since Qt would end the process where it finds no display."""
    chosen = ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY")
    if sys.platform == "linux" and not any(os.environ.get(name) for name in chosen):
        raise SfumatoError(
            "There is no display to open the window on.",
            advice="The commands work without one: see `sfumato --help`.",
        )


def make_window(settings: Settings) -> MainWindow:
    """The window with everything it needs; no thread is running yet."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    panels = Panels()
    panels.load()
    window = MainWindow(
        Jobs(compose.engine),
        Preferences(settings.state_dir),
        panels=panels,
        samples=load_samples(),
        device=device_text(settings.device, settings.threads),
        settings=settings,
    )
    window.setWindowIcon(QIcon(icons.pixmap("sfumato", theme.current().accent, 128)))
    return window


def _show_bugs(window: MainWindow) -> None:
    """Anything unforeseen on this thread ends here: told, logged, and the program goes on."""

    def show(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
        traceback.print_exception(kind, error, where)
        told = SfumatoError(
            "Something went wrong inside Sfumato.",
            kept="The open picture is still here.",
            advice="Save it under a new name to be safe; Copy details helps whoever looks into this.",
        )
        told.__cause__ = error
        dialogs.show_error(window, told)

    sys.excepthook = show
