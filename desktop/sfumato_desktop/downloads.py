"""A model by its name, on a thread of its own: what it would bring, then the bytes; nothing unasked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from sfumato.errors import SfumatoError, StorageError
from sfumato.method import Progress
from sfumato.models import download
from sfumato.models.download import Offer
from sfumato.settings import Settings


class Downloads(QObject):
    """One at a time; every question ends in `offered`, every download in `done`, `stopped` or `failed`."""

    offered = Signal(Offer)
    advanced = Signal(Progress)
    done = Signal(str, Path)
    """The repository, and the folder it is in now."""
    stopped = Signal()
    failed = Signal(SfumatoError)

    def __init__(self, settings: Settings, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, "sfumato-download")
        self._stop = False

    def ask(self, repo: str) -> None:
        """Ask the hub what a repository has, and how large that is."""
        self._thread.submit(self._guarded, repo)

    def fetch(self, offer: Offer) -> None:
        """Bring what was offered."""
        self._stop = False
        self._thread.submit(self._guarded, offer)

    def stop(self) -> None:
        """Stop at the next piece; what has come is kept to go on from."""
        self._stop = True

    def close(self) -> None:
        self.stop()
        self._thread.shutdown(cancel_futures=True)

    def _guarded(self, asked: str | Offer) -> None:
        try:
            if isinstance(asked, str):
                self.offered.emit(download.ask(asked))
            else:
                self._fetch(asked)
        except SfumatoError as error:
            self.failed.emit(error)
        except OSError as error:
            told = StorageError(f"The download could not be written: {error}.")
            told.__cause__ = error
            self.failed.emit(told)

    def _fetch(self, offer: Offer) -> None:
        steps = download.download(offer, self._settings)
        try:
            while not self._stop:
                try:
                    self.advanced.emit(next(steps))
                except StopIteration as end:
                    self.done.emit(offer.repo, end.value)
                    return
            self.stopped.emit()
        finally:
            steps.close()
