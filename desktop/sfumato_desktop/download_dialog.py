"""Asks for a model's name, says what it would bring, and brings it if the person says so."""

from __future__ import annotations

import re
from pathlib import Path

from PySide6.QtCore import QSignalBlocker
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QWidget

from sfumato.errors import SfumatoError
from sfumato.method import Progress
from sfumato.models.download import Offer
from sfumato_desktop.dialogs import Dialog
from sfumato_desktop.downloads import Downloads
from sfumato_desktop.model_page import in_words
from sfumato_desktop.named import named, push_button
from sfumato_desktop.one_line import OneLine

_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_TICKS = 1000
_PROMISE = (
    "This is the one thing in Sfumato that uses the network, and only when you press a button here. "
    "It fetches files from the Hugging Face hub; nothing of yours is sent but the model's name."
)


class DownloadDialog(Dialog):
    """Name, size, then the download; closing it stops the download, and what has come is kept."""

    def __init__(self, parent: QWidget | None, downloads: Downloads) -> None:
        super().__init__(parent, "download_dialog", "Download a model by its name")
        self._downloads = downloads
        self._offer: Offer | None = None
        self._busy = False
        self.line = named(OneLine(200), "download_name", "Name of the model", "As on the hub: owner/name")
        self.line.setPlaceholderText("owner/name")
        self._ask = push_button(
            "Ask for its size", "download_ask", "Ask the hub what there is; uses the network"
        )
        self._fetch = push_button("Download", "download_fetch", "Fetch the files; uses the network")
        self._stop = push_button("Stop", "download_stop", "Stop; what has come is kept to go on from")
        self.said = named(QLabel(), "download_said", "What happened", "")
        self.said.setToolTip("")
        self.said.setWordWrap(True)
        self.bar = named(QProgressBar(), "download_bar", "Progress", "How much has come")
        self.bar.setRange(0, _TICKS)
        self._lay_out()
        self._connect()
        self._show()

    def reject(self) -> None:
        self._downloads.stop()
        super().reject()

    def _connect(self) -> None:
        downloads = self._downloads
        downloads.offered.connect(self._offered)
        downloads.advanced.connect(self._advanced)
        downloads.done.connect(self._done)
        downloads.stopped.connect(self._stopped)
        downloads.failed.connect(self._failed)
        self.line.textEdited.connect(self._renamed)
        self.line.returnPressed.connect(self._ask.click)
        self._ask.clicked.connect(self._ask_for_size)
        self._fetch.clicked.connect(self._download)
        self._stop.clicked.connect(downloads.stop)

    def _renamed(self) -> None:
        self._offer = None
        self.said.clear()
        self._show()

    def _ask_for_size(self) -> None:
        self._busy = True
        self.said.setText("Asking the hub…")
        self._downloads.ask(self.line.text().strip())
        self._show()

    def _offered(self, offer: Offer) -> None:
        self._offer = offer
        count = len(offer.files)
        self._end(f"{offer.repo}: {in_words(offer.bytes)} in {count} files. Nothing has been fetched yet.")

    def _download(self) -> None:
        if self._offer is not None:
            self._busy = True
            self._downloads.fetch(self._offer)
            self.said.setText(f"Downloading {self._offer.repo}…")
            self._show(fetching=True)

    def _advanced(self, progress: Progress) -> None:
        with QSignalBlocker(self.bar):
            self.bar.setValue(round(_TICKS * progress.step / max(progress.total, 1)))
        self.bar.setFormat(f"{in_words(progress.step)} of {in_words(progress.total)}")
        self.said.setText(f"{progress.stage}…")

    def _done(self, repo: str, place: Path) -> None:
        self._offer = None
        self._end(f"{repo} is on the list. Its files are in {place}.")

    def _stopped(self) -> None:
        self._end("Stopped. What has come is kept: ask again to go on.")

    def _failed(self, error: SfumatoError) -> None:
        self._end(" ".join(filter(None, (error.what, error.kept, error.advice))))

    def _end(self, sentence: str) -> None:
        self._busy = False
        self.said.setText(sentence)
        self._show()

    def _show(self, *, fetching: bool = False) -> None:
        self.line.setEnabled(not self._busy)
        self._ask.setEnabled(not self._busy and _NAME.fullmatch(self.line.text().strip()) is not None)
        self._fetch.setEnabled(not self._busy and self._offer is not None)
        self._stop.setVisible(fetching)
        self.bar.setVisible(fetching)

    def _lay_out(self) -> None:
        self.add_text(_PROMISE, muted=True)
        title = QLabel("Name of the model")
        title.setBuddy(self.line)
        asking, bringing = QHBoxLayout(), QHBoxLayout()
        asking.addWidget(self.line, 1)
        asking.addWidget(self._ask)
        bringing.addWidget(self._fetch)
        bringing.addWidget(self.bar, 1)
        bringing.addWidget(self._stop)
        bringing.addStretch(0)
        self.body.addWidget(title)
        self.body.addLayout(asking)
        self.body.addWidget(self.said)
        self.body.addLayout(bringing)
        self.body.addStretch(1)
        for button in (self._ask, self._fetch, self._stop):
            button.setAutoDefault(False)
        self.setMinimumWidth(480)
        self.line.setFocus()
