"""What the window remembers between sessions, in one INI file of the state folder."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QByteArray, QSettings

_MOST_RECENT = 8


class Preferences:
    """Typed access to the window's settings file."""

    def __init__(self, state_dir: Path) -> None:
        self._file = QSettings(str(state_dir / "window.ini"), QSettings.Format.IniFormat)

    @property
    def file_name(self) -> str:
        return self._file.fileName()

    @property
    def theme(self) -> str:
        kept = self._file.value("theme")
        return kept if isinstance(kept, str) else "system"

    def set_theme(self, name: str) -> None:
        self._file.setValue("theme", name)

    @property
    def recent(self) -> list[Path]:
        """Files opened or saved last that are still there, latest first."""
        kept = self._file.value("recent")
        entries = [kept] if isinstance(kept, str) else kept if isinstance(kept, list) else []
        return [path for path in map(Path, map(str, entries)) if path.is_file()]

    def add_recent(self, path: Path) -> None:
        path = path.resolve()
        rest = [other for other in self.recent if other != path]
        self._file.setValue("recent", [str(each) for each in [path, *rest][:_MOST_RECENT]])

    @property
    def last_folder(self) -> str:
        return str(self._file.value("last_folder", str(Path.home())))

    def set_last_folder(self, folder: Path) -> None:
        self._file.setValue("last_folder", str(folder))

    def layout(self) -> tuple[QByteArray, QByteArray] | None:
        """Geometry and dock state of the last session."""
        geometry, state = self._file.value("geometry"), self._file.value("state")
        if isinstance(geometry, QByteArray) and isinstance(state, QByteArray):
            return geometry, state
        return None

    def set_layout(self, geometry: QByteArray, state: QByteArray) -> None:
        self._file.setValue("geometry", geometry)
        self._file.setValue("state", state)
        self._file.sync()
