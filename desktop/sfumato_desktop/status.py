"""The status bar: zoom, picture, the promise about pixels outside the mask, inversion, device, offline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QColorSpace
from PySide6.QtWidgets import QLabel, QStatusBar, QToolButton

from sfumato.document.layers import Document
from sfumato.events import InversionReport
from sfumato_desktop import icons
from sfumato_desktop.actions import Actions
from sfumato_desktop.named import ElidedLabel, label, named
from sfumato_desktop.readout import Measurement

LOOSE_BELOW = 25.0
"""dB: under this an inversion is called loose, and edits will drift."""
_MESSAGE_TIME = 8000


class StatusBar(QStatusBar):
    """Facts to the left, sentences in the middle, the machine to the right."""

    def __init__(self, actions: Actions, device: str) -> None:
        super().__init__()
        named(self, "status", "Status")
        self.setSizeGripEnabled(False)
        self.zoom = label("", "status_zoom", "Zoom", "Zoom; 100 % is one picture pixel per screen pixel")
        self.picture = label("", "status_picture", "Picture", "Size, colour profile and depth")
        self.outside = label(
            "", "status_outside", "Outside the mask", "Pixels changed where no mask allows it"
        )
        about = "How well the inversion gives the photo back"
        self.inversion = named(ElidedLabel(), "status_inversion", "Inversion", about)
        self.message = named(ElidedLabel(), "status_message", "Message", "What happened last")
        self.device = label(device, "status_device", "Device", "What the network runs on")
        for widget in (self.zoom, self.picture, self.outside, self.inversion):
            self.addWidget(widget)
        self.addWidget(self.message, 1)
        self.addPermanentWidget(self.device)
        self.addPermanentWidget(self._offline_badge(actions))
        self._clear = QTimer(self, singleShot=True, interval=_MESSAGE_TIME)
        self._clear.timeout.connect(lambda: self.message.show_text(""))

    def _offline_badge(self, actions: Actions) -> QToolButton:
        badge = named(QToolButton(), "status_offline", "Offline", actions["offline"].toolTip())
        badge.setText("Offline")
        badge.setIcon(icons.icon("offline", "good"))
        badge.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        badge.setAutoRaise(True)
        badge.clicked.connect(actions["offline"].trigger)
        return badge

    def say(self, sentence: str) -> None:
        """Show a sentence for a while."""
        self.message.show_text(sentence)
        self._clear.start()

    def show_zoom(self, zoom: float | None) -> None:
        self.zoom.setText("" if zoom is None else f"{zoom * 100:.3g} %")

    def show_document(self, document: Document | None) -> None:
        if document is None:
            self.picture.clear()
            self.outside.clear()
            self.inversion.show_text("")
            return
        profile = QColorSpace.fromIccProfile(document.profile).description() if document.profile else "sRGB"
        self.picture.setText(f"{document.width} × {document.height} · {profile or 'own profile'} · 8-bit")

    def show_measurement(self, measurement: Measurement) -> None:
        changed = measurement.changed_outside
        if changed is None:
            self.outside.clear()
            return
        self.outside.setText(f"{'✓ ' if changed == 0 else '⚠ '}outside mask: {changed:,} px changed")
        _set_level(self.outside, "good" if changed == 0 else "bad")

    def show_machine(self, provenance: Mapping[str, Any]) -> None:
        """Show what a result was computed on."""
        if "device" in provenance and "threads" in provenance:
            self.device.setText(device_text(provenance["device"], provenance["threads"]))

    def show_inversion(self, text: str, level: str) -> None:
        """Say how far or how good the inversion is, as the edit panel does."""
        self.inversion.show_text(text)
        _set_level(self.inversion, level)


def inversion_sentence(report: InversionReport | None) -> tuple[str, str]:
    """What to say about an inversion, and how serious it is: "idle", "good" or "warning"."""
    if report is None:
        return "Not inverted", "idle"
    loose = report.psnr is not None and report.psnr < LOOSE_BELOW
    parts = ["Inversion is loose" if loose else "Inverted"]
    if report.psnr is not None:
        parts.append(f"PSNR {report.psnr:.1f} dB, VAE alone {report.vae_psnr:.1f}")
    if report.reused:
        parts.append("reused")
    return " · ".join(parts), "warning" if loose else "good"


def device_text(device: str, threads: int) -> str:
    """What the network runs on, in a few words."""
    if device != "cpu":
        return "Device: automatic" if device == "auto" else "GPU"
    return f"CPU · {threads} thread{'' if threads == 1 else 's'}"


def _set_level(widget: QLabel, level: str) -> None:
    widget.setProperty("level", level)
    widget.style().unpolish(widget)
    widget.style().polish(widget)
