"""Tasks on several processes of this machine.

The executors of the standard library give up all that waits when one worker dies, and do not say on which
task it did. Here each worker has a pipe of its own and one task at a time: who dies takes that one along, and
a new worker tries it once more.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import threading
from collections import Counter, deque
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from sfumato.errors import SfumatoError
from sfumato.many.crew import Crew
from sfumato.many.handing import handed_out
from sfumato.many.worker import Done, Failed, Parcel, Work

T = TypeVar("T")
R = TypeVar("R")

READY = b"ready"
"""The first word of a worker."""
ATTEMPTS = 2
PATIENCE = 20.0
"""Seconds a worker has to end the step it is in before it is killed."""
LOST = (
    "The process that worked on it ended unexpectedly, twice, as happens when memory runs out. "
    "All other results are kept. Try it again with fewer processes or a smaller model."
)


def on_processes(
    tasks: Mapping[str, T], work: Work[T, R], crew: Crew
) -> Generator[Done[R] | Failed, None, None]:
    """`spread` on processes of this machine; see there."""
    yield from handed_out(tasks, work, _Team(min(crew.processes, len(tasks)), crew))


class _Worker:
    """A process, the pipe to it, and the task it is at."""

    def __init__(self, context: Any) -> None:
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs,), daemon=True, name="sfumato-worker")
        with _deaf():
            self.process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        self.ready = False
        self.at: Parcel | None = None

    def hear(self) -> Done[Any] | Failed | None:
        """What came of its task; None if it only says that it began. Raises `EOFError` if it died."""
        came = self.pipe.recv_bytes()
        if came == READY:
            self.ready = True
            if not self.pipe.poll():
                return None
            came = self.pipe.recv_bytes()
        self.at = None
        return pickle.loads(came)

    def end(self) -> None:
        """Ask it to end; `bury` waits for that. One that waits for work ends by itself."""
        self.pipe.close()
        if self.at:
            self.process.terminate()

    def bury(self) -> int | None:
        """See it off; returns its exit code."""
        self.process.join(PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        code = self.process.exitcode
        self.process.close()
        return code


class _Team:
    """At most `size` workers, started as they are needed; a task whose worker died is tried once more."""

    def __init__(self, size: int, crew: Crew) -> None:
        self.workshop = crew.opener, crew.machine
        self._size = size
        self._context = multiprocessing.get_context("spawn")  # torch does not survive a fork
        self._workers: list[_Worker] = []
        self._again: deque[Parcel] = deque()
        self._deaths: Counter[str] = Counter()

    @property
    def busy(self) -> bool:
        return bool(self._again) or any(worker.at for worker in self._workers)

    @property
    def has_room(self) -> bool:
        return sum(bool(worker.at) for worker in self._workers) < self._size

    def give(self, parcel: Parcel) -> None:
        worker = next((worker for worker in self._workers if not worker.at), None)
        if worker is None:
            worker = _Worker(self._context)
            self._workers.append(worker)
        worker.at = parcel
        with suppress(OSError):  # it is dead, as `news` will tell
            worker.pipe.send(parcel)

    def wait(self) -> None:
        while self._again and self.has_room:  # last: with fewer neighbours it has more memory
            self.give(self._again.popleft())
        self._pipes(None)

    def news(self) -> Iterator[Done[Any] | Failed]:
        for pipe in self._pipes(0):
            worker = next(each for each in self._workers if each.pipe is pipe)
            parcel = worker.at
            assert parcel is not None  # those that have no task are not waited for
            try:
                came = worker.hear()
            except (EOFError, OSError):
                self._lose(worker)
                came = self._mourned(parcel)
            if came is not None:
                yield came

    def _pipes(self, timeout: float | None) -> list[Any]:
        """The pipes of busy workers that have something to say; to wait for nobody would be for ever."""
        busy = [worker.pipe for worker in self._workers if worker.at]
        return wait(busy, timeout) if busy else []

    def _mourned(self, parcel: Parcel) -> Failed | None:
        """What becomes of the task a worker died on: it has another try, or has failed."""
        self._deaths[parcel.key] += 1
        if self._deaths[parcel.key] == ATTEMPTS:
            return Failed(parcel.key, LOST)
        self._again.append(parcel)
        return None

    def _lose(self, worker: _Worker) -> None:
        """Take leave of a dead worker. Raises `SfumatoError` if it never began: the next would not either."""
        self._workers.remove(worker)
        worker.pipe.close()
        code = worker.bury()
        if not worker.ready and code is not None and code >= 0:
            raise SfumatoError(
                f"A worker process could not be started; it ended with code {code}.",
                kept="What was finished is kept.",
                advice="Run it without --processes.",
            )

    def dismiss(self) -> None:
        try:
            for worker in self._workers:
                worker.end()
            for worker in self._workers:
                worker.bury()
        except KeyboardInterrupt:  # whoever asks again does not wait for a step to end
            for worker in self._workers:
                with suppress(ValueError):  # it is buried
                    worker.process.kill()
            raise
        finally:
            self._workers.clear()


@contextmanager
def _deaf() -> Iterator[None]:
    """Children begun meanwhile do not hear Ctrl-C, which a terminal sends to all: this process ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def serve(pipe: Connection) -> None:
    """The life of a worker: one task after another, until the pipe is closed or somebody ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # unwinds, so that no half-written file stays
    with suppress(KeyboardInterrupt):
        with suppress(EOFError, OSError, KeyboardInterrupt):
            pipe.send_bytes(READY)
            while True:
                pipe.send_bytes(pipe.recv().done())
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # nothing is left to unwind, and nobody to tell
