"""Light, dark and high-contrast looks: Fusion with our own palettes, so that they are the same everywhere.

Qt's own `setColorScheme` does nothing on platforms without a desktop theme, so the palettes are shipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Literal

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication, QStyleFactory

ThemeName = Literal["system", "light", "dark", "contrast"]
THEMES: dict[ThemeName, str] = {
    "system": "As the system",
    "light": "Light",
    "dark": "Dark",
    "contrast": "High contrast",
}


@dataclass(frozen=True)
class Colours:
    """The few colours everything is drawn with; text on its background is at least 4.5:1 (a test counts)."""

    window: str
    panel: str
    field: str
    border: str
    text: str
    muted: str
    accent: str
    on_accent: str
    accent_text: str
    hover: str
    canvas: str
    good: str
    warning: str
    bad: str

    @property
    def disabled(self) -> str:
        """Between muted text and the panel: present, but not to be used."""
        muted, panel = QColor(self.muted), QColor(self.panel)
        pairs = zip(muted.getRgb()[:3], panel.getRgb()[:3], strict=True)  # pyright: ignore[reportArgumentType, reportIndexIssue]
        return QColor(*((ink + paper) // 2 for ink, paper in pairs)).name()


COLOURS: dict[str, Colours] = {
    "dark": Colours(
        window="#26282b",
        panel="#2e3034",
        field="#1e2022",
        border="#45484d",
        text="#e6e7e9",
        muted="#a9adb4",
        accent="#3470c8",
        on_accent="#ffffff",
        accent_text="#86b6f5",
        hover="#3a3d42",
        canvas="#1b1c1e",
        good="#7cc68d",
        warning="#e6b455",
        bad="#f2857c",
    ),
    "light": Colours(
        window="#eceded",
        panel="#f6f6f7",
        field="#ffffff",
        border="#c3c6ca",
        text="#1f2226",
        muted="#575c63",
        accent="#1f66c1",
        on_accent="#ffffff",
        accent_text="#1a5aad",
        hover="#dfe2e6",
        canvas="#c9cbce",
        good="#1d6b34",
        warning="#7d5200",
        bad="#ab2620",
    ),
    "contrast": Colours(
        window="#000000",
        panel="#1a1a1a",
        field="#000000",
        border="#ffffff",
        text="#ffffff",
        muted="#ffffff",
        accent="#ffd800",
        on_accent="#000000",
        accent_text="#ffd800",
        hover="#303030",
        canvas="#000000",
        good="#7dff9b",
        warning="#ffd800",
        bad="#ff9a92",
    ),
}


def resolve(name: str) -> str:
    """The palette a theme name stands for; a system that does not say gets dark, as photo editors do."""
    if name in COLOURS:
        return name
    return "light" if QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Light else "dark"


def current() -> Colours:
    """The colours in force in this application."""
    application = QApplication.instance()
    return COLOURS[(application.property("theme") if application else None) or "dark"]


def apply(application: QApplication, name: str) -> None:
    """Dress the whole application; safe to call again at any time."""
    chosen = resolve(name)
    colours = COLOURS[chosen]
    application.setProperty("theme", chosen)
    if application.style().name() != "fusion":
        application.setStyle(QStyleFactory.create("Fusion"))
    themes = files("sfumato_resources").joinpath("themes")
    filled = Template(themes.joinpath("sfumato.qss").read_text(encoding="utf-8")).substitute(
        vars(colours),
        disabled=colours.disabled,
        marks=Path(str(themes)).as_posix(),
        ink=_tone(colours.text),
        tick=_tone(colours.on_accent),
    )
    if application.styleSheet() != filled:  # setting it restyles every widget there is
        application.setPalette(palette(colours))
        application.setStyleSheet(filled)


def _tone(colour: str) -> str:
    """Which of the drawn marks has about this colour: the light or the dark one."""
    return "light" if QColor(colour).lightnessF() > 0.5 else "dark"


def palette(colours: Colours) -> QPalette:
    """A complete palette, with disabled text muted but readable."""
    role = QPalette.ColorRole
    made = QPalette(QColor(colours.panel), QColor(colours.window))
    pairs = {
        role.Window: colours.window,
        role.WindowText: colours.text,
        role.Base: colours.field,
        role.AlternateBase: colours.panel,
        role.Text: colours.text,
        role.Button: colours.panel,
        role.ButtonText: colours.text,
        role.BrightText: colours.bad,
        role.ToolTipBase: colours.panel,
        role.ToolTipText: colours.text,
        role.PlaceholderText: colours.muted,
        role.Highlight: colours.accent,
        role.HighlightedText: colours.on_accent,
        role.Accent: colours.accent,
        role.Link: colours.accent_text,
        role.LinkVisited: colours.accent_text,
        role.Mid: colours.border,
        role.Midlight: colours.hover,
        role.Light: colours.hover,
        role.Dark: colours.border,
        role.Shadow: colours.field,
    }
    for where, colour in pairs.items():
        made.setColor(where, QColor(colour))
    for where in (role.WindowText, role.Text, role.ButtonText):
        made.setColor(QPalette.ColorGroup.Disabled, where, QColor(colours.disabled))
    return made
