"""The download dialog: nothing before it is asked for, the size before the bytes, progress, and Stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QLabel, QProgressBar, QPushButton
from pytestqt.qtbot import QtBot

from sfumato.errors import InputError
from sfumato.method import Progress
from sfumato.models import download
from sfumato.models.download import Offer, RemoteFile
from sfumato.settings import Settings
from sfumato_desktop.download_dialog import DownloadDialog
from sfumato_desktop.downloads import Downloads

OFFER = Offer(
    "org/model",
    "abc",
    (RemoteFile("model_index.json", 500, "", "b"), RemoteFile("unet/w.safetensors", 4_300_000_000, "c", "")),
)


@pytest.fixture
def downloads(tmp_path: Path, qtbot: QtBot) -> Iterator[Downloads]:
    made = Downloads(Settings(data_dir=tmp_path, cache_dir=tmp_path, state_dir=tmp_path))
    yield made
    made.close()


@pytest.fixture
def dialog(downloads: Downloads, qtbot: QtBot) -> DownloadDialog:
    made = DownloadDialog(None, downloads)
    made.show()
    return made


@pytest.fixture
def go(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """A hub that has one model; the download goes on past its first piece once this is set."""
    event = threading.Event()

    def ask(repo: str) -> Offer:
        if repo != OFFER.repo:
            raise InputError(f"The hub has no model '{repo}', or keeps it private.")
        return OFFER

    def fetch(offer: Offer, settings: Settings) -> Generator[Progress, None, Path]:
        yield Progress(2_150_000_000, offer.bytes, f"Downloading {offer.repo}")
        event.wait(5)
        yield Progress(offer.bytes, offer.bytes, f"Downloading {offer.repo}")
        return settings.data_dir / "models" / "org--model"

    monkeypatch.setattr(download, "ask", ask)
    monkeypatch.setattr(download, "download", fetch)
    return event


def _button(dialog: DownloadDialog, name: str) -> QPushButton:
    found = dialog.findChild(QPushButton, f"download_{name}")
    assert isinstance(found, QPushButton)
    return found


def _said(dialog: DownloadDialog) -> str:
    found = dialog.findChild(QLabel, "download_said")
    assert isinstance(found, QLabel)
    return found.text()


def _type(dialog: DownloadDialog, qtbot: QtBot, name: str) -> None:
    dialog.line.clear()
    qtbot.keyClicks(dialog.line, name)


def test_only_a_name_of_the_hubs_form_can_be_asked_for(dialog: DownloadDialog, qtbot: QtBot) -> None:
    _type(dialog, qtbot, "model")
    assert not _button(dialog, "ask").isEnabled()
    assert not _button(dialog, "fetch").isEnabled()
    _type(dialog, qtbot, "org/model")
    assert _button(dialog, "ask").isEnabled()
    assert not _button(dialog, "fetch").isEnabled()


def _offered(dialog: DownloadDialog, downloads: Downloads, qtbot: QtBot) -> None:
    _type(dialog, qtbot, "org/model")
    with qtbot.waitSignal(downloads.offered):
        _button(dialog, "ask").click()


def test_the_size_comes_before_the_bytes(
    dialog: DownloadDialog, downloads: Downloads, go: threading.Event, qtbot: QtBot, tmp_path: Path
) -> None:
    _offered(dialog, downloads, qtbot)
    assert _said(dialog) == "org/model: 4.3 GB in 2 files. Nothing has been fetched yet."
    with qtbot.waitSignal(downloads.advanced):
        _button(dialog, "fetch").click()
    bar = dialog.findChild(QProgressBar, "download_bar")
    assert (bar.isVisible(), bar.value()) == (True, 500)
    assert bar.text() == "2.15 GB of 4.3 GB"
    assert _button(dialog, "stop").isVisible()
    with qtbot.waitSignal(downloads.done):
        go.set()
    assert (
        _said(dialog) == f"org/model is on the list. Its files are in {tmp_path / 'models' / 'org--model'}."
    )
    assert not bar.isVisible()


@pytest.mark.parametrize("end", ["stop", "close"])
def test_stop_and_close_stop_the_download(
    dialog: DownloadDialog, downloads: Downloads, go: threading.Event, qtbot: QtBot, end: str
) -> None:
    _offered(dialog, downloads, qtbot)
    with qtbot.waitSignal(downloads.advanced):
        _button(dialog, "fetch").click()
    act: Callable[[], object] = _button(dialog, "stop").click if end == "stop" else dialog.reject
    with qtbot.waitSignal(downloads.stopped):
        act()
        go.set()


def test_what_goes_wrong_is_said_where_it_was_asked(
    dialog: DownloadDialog, downloads: Downloads, go: threading.Event, qtbot: QtBot
) -> None:
    _type(dialog, qtbot, "org/other")
    with qtbot.waitSignal(downloads.failed):
        _button(dialog, "ask").click()
    assert _said(dialog) == "The hub has no model 'org/other', or keeps it private."
    assert _button(dialog, "ask").isEnabled()


def test_another_name_needs_another_question(
    dialog: DownloadDialog, downloads: Downloads, go: threading.Event, qtbot: QtBot
) -> None:
    _offered(dialog, downloads, qtbot)
    qtbot.keyClicks(dialog.line, "2")
    assert not _button(dialog, "fetch").isEnabled()
    assert _said(dialog) == ""
