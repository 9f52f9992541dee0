"""The real window offscreen, on an engine that does nothing until a test makes it speak."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from sfumato.document.layers import Document, Layer
from sfumato.events import Event, InversionReport, Outcome
from sfumato.method import Job
from sfumato_desktop import theme
from sfumato_desktop.jobs import Jobs
from sfumato_desktop.panels import Panels
from sfumato_desktop.preferences import Preferences
from sfumato_desktop.session import Session
from sfumato_desktop.window import MainWindow

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


class SilentEngine:
    """Keeps what it is told; `tell` sends an event as the engine's thread would."""

    def __init__(self, on_event: Callable[[Event], None]) -> None:
        self.tell = on_event
        self.jobs: list[Job] = []
        self.cancelled: list[str | None] = []
        self.watched: bool | None = None

    def start(self) -> None: ...

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def cancel(self, job_id: str | None = None) -> None:
        self.cancelled.append(job_id)

    def watch(self, on: bool) -> None:
        self.watched = on

    def close(self, timeout: float) -> None: ...


@pytest.fixture
def engine(qapp: QApplication) -> list[SilentEngine]:
    """The engines that were made: one per window."""
    return []


@pytest.fixture
def make_window(
    qtbot: QtBot, qapp: QApplication, engine: list[SilentEngine], tmp_path: Path
) -> Iterator[Callable[[], MainWindow]]:
    made: list[MainWindow] = []

    def make() -> MainWindow:
        def build(on_event: Callable[[Event], None]) -> SilentEngine:
            engine.append(SilentEngine(on_event))
            return engine[-1]

        theme.apply(qapp, "dark")
        window = MainWindow(Jobs(build), Preferences(tmp_path), panels=Panels(), device="CPU · 1 thread")
        window.resize(1366, 768)
        window.show()
        qtbot.waitExposed(window)
        made.append(window)
        return window

    yield make
    for window in made:
        if window.workbench.session is not None:
            window.workbench.session.saved(tmp_path / "kept.ora")
        window.close()
        window.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def window(make_window: Callable[[], MainWindow]) -> MainWindow:
    return make_window()


@pytest.fixture
def pixels() -> np.ndarray:
    """A picture in which every pixel is different."""
    rng = np.random.default_rng(7)
    made = rng.integers(0, 256, (96, 128, 4), dtype=np.uint8)
    made[..., 3] = 255
    return made


@pytest.fixture
def document(pixels: np.ndarray) -> Document:
    return Document(128, 96, [Layer("Background", pixels)], title="photo.png")


@pytest.fixture
def opened(window: MainWindow, document: Document) -> MainWindow:
    """The window with the picture open."""
    window.workbench.replace_session(Session(document))
    return window


@pytest.fixture
def photo(tmp_path: Path, pixels: np.ndarray) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(pixels[..., :3]).save(path)
    return path


@pytest.fixture
def outcome() -> Callable[..., Outcome]:
    """What the engine would report for a job: patches that are one colour inside the job's mask."""

    def make(job: Job, *, candidates: int = 1, outside: int = 0) -> Outcome:
        assert job.image is not None
        box = (16, 8, 80, 72)
        height, width = box[3] - box[1], box[2] - box[0]
        patches = []
        for number in range(candidates):
            patch = np.full((height, width, 4), 40 + number, np.uint8)
            patch[..., 3] = 255
            if job.mask is not None:
                patch[..., 3] = job.mask[box[1] : box[3], box[0] : box[2]]
            patch[0, :outside, 3] = 255
            patches.append(patch)
        return Outcome(
            box=box,
            patches=tuple(patches),
            inversion=InversionReport("direct", 41.2, 42.0, reused=True, steps=50),
            changed_outside=0,
            rows={"inversion": 0, "edit": 100},
            provenance={"device": "cpu", "threads": 2},
            seconds=1.5,
        )

    return make
