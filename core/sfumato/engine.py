"""One background thread does one job at a time; requests go in as plain data, events come out.

Nothing is shared but the two: the same engine could live in another process.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections import deque
from collections.abc import Callable

from sfumato.errors import SfumatoError
from sfumato.events import Advanced, Broken, Cancelled, Event, Failed, Finished, Outcome, Ready, Started
from sfumato.failure import explain
from sfumato.imports import considerate, open_torch_libraries
from sfumato.method import Job, Pixels
from sfumato.pace import Advance, Pace
from sfumato.perform import perform
from sfumato.settings import Settings
from sfumato.walking import Walk, stepped
from sfumato.workshop import Workshop, open_workshop

log = logging.getLogger(__name__)


class _Cancelled(Exception):
    """The running job was asked to stop."""


class Engine:
    """Every event is told on the engine's own thread. All methods may be called from any thread."""

    def __init__(
        self,
        on_event: Callable[[Event], None],
        *,
        settings: Settings,
        open_workshop: Callable[[Settings], Workshop] = open_workshop,
    ) -> None:
        self._on_event = on_event
        self._settings = settings
        self._open_workshop = open_workshop
        self._workshop: Workshop | None = None
        self._pace = Pace()
        self._watched = False
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._dropped: list[str] = []
        self._running: str | None = None
        self._stop_asked = False
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="sfumato-engine", daemon=True)

    def start(self) -> None:
        """Import everything heavy and load the plugins in the background; `Ready` says when that is done."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job; first come, first served."""
        with self._changed:
            self._waiting.append(job)
            self._changed.notify()

    def cancel(self, job_id: str | None = None) -> None:
        """Take a job out of the queue, or stop it within one block of the network; None means all of them."""
        with self._changed:
            self._dropped += [job.id for job in self._waiting if job_id in (None, job.id)]
            self._waiting = deque(job for job in self._waiting if job.id not in self._dropped)
            if self._running is not None and job_id in (None, self._running):
                self._stop_asked = True
                if self._workshop is not None:
                    self._workshop.stop()
            self._changed.notify()

    def watch(self, on: bool) -> None:
        """Say whether somebody looks at previews; they are made only then."""
        self._watched = on

    def close(self, timeout: float | None = None) -> bool:
        """Stop everything and wait for the thread to end; return whether it did within `timeout` seconds."""
        self._closing = True
        self.cancel()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        self._open()
        while (job := self._next()) is not None:
            try:
                self._run(job)
            finally:
                with self._changed:
                    self._running = None

    def _open(self) -> None:
        try:
            with considerate():
                open_torch_libraries()
                self._workshop = self._open_workshop(self._settings)
            self._tell(self._workshop.registry.describe())
        except Exception as error:
            log.exception("The engine could not start")
            broken = Broken("engine", f"{type(error).__name__}: {error}", traceback.format_exc())
            self._tell(Ready((), (), (broken,)))

    def _next(self) -> Job | None:
        """Wait for a job and make it the running one; None when the engine closes."""
        while True:
            self._tell_dropped()
            with self._changed:
                if self._waiting:
                    job = self._waiting.popleft()
                    self._running, self._stop_asked = job.id, False
                    if self._workshop is not None:
                        self._workshop.resume()
                    return job
                if self._closing and not self._dropped:
                    return None
                self._changed.wait_for(lambda: self._waiting or self._dropped or self._closing)

    def _run(self, job: Job) -> None:
        self._tell(Started(job.id))
        self._pace.begin()
        try:
            if self._workshop is None:
                raise SfumatoError(
                    "The engine could not start.", advice="See the list of plug-ins for the reason."
                )
            outcome = self._drive(job, self._workshop)
        except (Exception, SystemExit) as error:
            if self._stop_asked:
                log.info("Job %s was stopped (%s)", job.id, type(error).__name__)
                self._tell(Cancelled(job.id))
            else:
                self._tell(Failed(job.id, explain(error, job)))
        else:
            self._tell(Finished(job.id, outcome))

    def _drive(self, job: Job, workshop: Workshop) -> Outcome:
        steps = stepped(perform(job, workshop))
        walk = Walk(steps)
        try:
            for now in walk:
                self._tell_dropped()
                if self._stop_asked:
                    raise _Cancelled
                self._tell(self._advanced(job, now, workshop))
        finally:
            steps.close()
        return walk.result

    def _advanced(self, job: Job, now: Advance, workshop: Workshop) -> Advanced:
        return Advanced(
            job=job.id,
            stage=now.stage,
            step=now.step,
            total=now.total,
            seconds_left=self._pace.seconds_left(now),
            preview=self._preview(now, workshop) if self._watched else None,
            box=now.box,
        )

    def _preview(self, now: Advance, workshop: Workshop) -> Pixels | None:
        if now.preview is None or workshop.model is None:
            return None
        import torch

        with torch.no_grad():
            return workshop.model.preview(now.preview)

    def _tell_dropped(self) -> None:
        with self._changed:
            dropped, self._dropped = self._dropped, []
        for job_id in dropped:
            self._tell(Cancelled(job_id))

    def _tell(self, event: Event) -> None:
        try:
            self._on_event(event)
        except Exception:
            log.exception("Whoever listens to the engine failed at %s", type(event).__name__)
