"""Events cross from the engine's thread to the window's: all of them, in order, without a flood."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from PySide6.QtCore import QThread

from sfumato.errors import SfumatoError
from sfumato.events import Advanced, Cancelled, Failed, Finished, Outcome, Ready, Started
from sfumato.method import Job, Recipe
from sfumato_desktop.jobs import Jobs


class Engine:
    """Tells what it is given, from a thread of its own."""

    def __init__(self, on_event):
        self.on_event = on_event
        self.asked = []

    def start(self):
        self.asked.append(("start",))

    def submit(self, job):
        self.asked.append(("submit", job))

    def cancel(self, job_id=None):
        self.asked.append(("cancel", job_id))

    def watch(self, on):
        self.asked.append(("watch", on))

    def close(self, timeout):
        self.asked.append(("close",))

    def tell(self, *events):
        thread = threading.Thread(target=lambda: [self.on_event(event) for event in events])
        thread.start()
        thread.join()


@pytest.fixture
def make_jobs(qapp):
    """Jobs on a fake engine that write down every signal they give."""

    def make(**choices):
        engines = []
        made = Jobs(lambda on_event: engines.append(Engine(on_event)) or engines[0], **choices)
        made.engine, made.heard = engines[0], []
        made.ready.connect(lambda ready: made.heard.append(("ready", ready)))
        made.started.connect(lambda job: made.heard.append(("started", job)))
        made.advanced.connect(lambda event: made.heard.append(("advanced", event.job, event.step)))
        made.finished.connect(lambda job, outcome: made.heard.append(("finished", job, outcome)))
        made.failed.connect(lambda job, error: made.heard.append(("failed", job, error)))
        made.cancelled.connect(lambda job: made.heard.append(("cancelled", job)))
        return made

    return make


@pytest.fixture
def jobs(make_jobs):
    return make_jobs()


def outcome():
    return Outcome((0, 0, 1, 1), (), None, 0, {"inversion": 0, "edit": 0}, {})


def step(number, job="a", preview=None):
    return Advanced(job, "Editing", number, 1000, None, preview, None if preview is None else (0, 0, 1, 1))


def test_every_kind_of_event_arrives_in_order(jobs, qtbot):
    ready, done, error = Ready((), (), ()), outcome(), SfumatoError("No.")
    jobs.engine.tell(
        ready, Started("a"), step(1), Finished("a", done), Started("b"), Failed("b", error), Cancelled("c")
    )
    qtbot.waitUntil(lambda: len(jobs.heard) == 7)
    assert jobs.heard == [
        ("ready", ready),
        ("started", "a"),
        ("advanced", "a", 1),
        ("finished", "a", done),
        ("started", "b"),
        ("failed", "b", error),
        ("cancelled", "c"),
    ]


def test_signals_come_on_the_windows_thread(jobs, qtbot, qapp):
    threads = []
    jobs.started.connect(lambda _: threads.append(QThread.currentThread()))
    with qtbot.waitSignal(jobs.started):
        jobs.engine.tell(Started("a"))
    assert threads == [qapp.thread()]


def test_nothing_is_told_before_the_window_gets_to_its_events(jobs):
    jobs.engine.tell(Started("a"))
    assert jobs.heard == []


def test_of_a_flood_only_the_newest_progress_is_told_and_no_end_is_lost(jobs, qtbot):
    for job in "abc":
        steps = [step(number, job) for number in range(1000)]
        jobs.engine.tell(Started(job), *steps, Finished(job, outcome()))
    qtbot.waitUntil(lambda: sum(each[0] == "finished" for each in jobs.heard) == 3)
    assert [each[:2] for each in jobs.heard] == [
        (kind, job) for job in "abc" for kind in ("started", "advanced", "finished")
    ]
    assert [each[2] for each in jobs.heard if each[0] == "advanced"] == [999, 999, 999]


def test_within_a_frame_nothing_more_is_told(make_jobs, qapp):
    jobs = make_jobs(frame=3_600_000)
    for number in range(1, 5):
        jobs.engine.tell(step(number))
        qapp.processEvents()
    assert jobs.heard == [("advanced", "a", 1)]


def test_what_waited_for_the_next_frame_is_told_then(make_jobs, qtbot, qapp):
    jobs = make_jobs(frame=1)
    for number in range(1, 50):
        jobs.engine.tell(step(number))
        qapp.processEvents()
    jobs.engine.tell(Finished("a", outcome()))
    qtbot.waitUntil(lambda: jobs.heard[-1][0] == "finished")
    steps = [each[2] for each in jobs.heard[:-1]]
    assert steps == sorted(steps)
    assert steps[-1] == 49


def test_progress_without_a_picture_keeps_the_one_that_was_not_told(jobs, qtbot):
    picture = np.zeros((2, 2, 3), np.uint8)
    with qtbot.waitSignal(jobs.advanced) as told:
        jobs.engine.tell(step(1, preview=picture), step(2))
    assert (told.args[0].step, told.args[0].preview, told.args[0].box) == (2, picture, (0, 0, 1, 1))


def test_progress_of_two_jobs_is_not_mixed(jobs, qtbot):
    jobs.engine.tell(step(1, "a"), step(5, "b"))
    qtbot.waitUntil(lambda: len(jobs.heard) == 2)
    assert jobs.heard == [("advanced", "a", 1), ("advanced", "b", 5)]


def test_requests_reach_the_engine(jobs):
    job = Job(recipe=Recipe())
    jobs.start()
    jobs.submit(job)
    jobs.cancel(job.id)
    jobs.cancel()
    jobs.watch(True)
    jobs.close()
    assert jobs.engine.asked == [
        ("start",),
        ("submit", job),
        ("cancel", job.id),
        ("cancel", None),
        ("watch", True),
        ("close",),
    ]


def test_nothing_is_told_after_closing(jobs, qtbot, qapp):
    jobs.engine.tell(Started("a"))
    jobs.close()
    qapp.processEvents()
    assert jobs.heard == []
