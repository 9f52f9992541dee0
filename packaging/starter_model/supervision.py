"""Training as processes: idle-priority workers on a CPU, this one on a GPU; a death is noticed."""

from __future__ import annotations

import math
import os
import signal
import time
from contextlib import suppress
from multiprocessing.connection import wait as wait_for
from pathlib import Path

from torch import multiprocessing

from sfumato.errors import SfumatoError
from starter_model.shared import Barrier, BrokenError
from starter_model.training import Clock, Run

AUTOGROUP = Path("/proc/self/autogroup")
"""Linux shares processors between sessions first: in one of its own, an idle process takes its full part."""


def be_idle() -> None:
    """Give way to everything else on the machine."""
    os.nice(19)
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    let_sessions_pass()


def let_sessions_pass() -> None:
    """Give way to other sessions, if this process leads its own: never with the shell it was started in."""
    if AUTOGROUP.exists() and os.getsid(0) == os.getpid():
        with suppress(OSError):
            AUTOGROUP.write_text("19")


def train(run: Run, seconds: float = math.inf) -> Clock:
    """Train until done, `seconds` are over or SIGTERM/SIGINT comes; the state is saved in every case.

    SfumatoError when a worker is killed or cannot save.
    """
    if run.clock.views >= run.task.views:
        return run.clock
    barrier, deadline = Barrier(run.count), time.monotonic() + seconds

    def end(*_: object) -> None:
        run.stop[0] = 1  # the workers finish their step, save and end

    old = {sign: signal.signal(sign, end) for sign in (signal.SIGTERM, signal.SIGINT)}
    try:
        if run.device.type == "cpu":
            supervise(run, barrier, deadline)
        else:
            run.work(0, barrier, deadline)
    finally:
        for sign, handler in old.items():
            signal.signal(sign, handler)
    run.clock = run.recorded()
    return run.clock


def supervise(run: Run, barrier: Barrier, deadline: float) -> None:
    """Start the workers and watch them; when one is killed the others end, and what there is is saved."""
    context = multiprocessing.get_context("fork")
    troubles = context.SimpleQueue()
    workers = [
        context.Process(target=live, args=(run, index, barrier, deadline, troubles), daemon=True)
        for index in range(run.count)
    ]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        wait_for([worker.sentinel for worker in workers if worker.is_alive()], timeout=1.0)
        if any(worker.exitcode not in (None, 0) for worker in workers):
            barrier.broken[0] = 1
    if not troubles.empty():
        what, kept, advice = troubles.get()
        raise SfumatoError(what, kept=kept, advice=advice)
    codes = [str(worker.exitcode) for worker in workers]
    if any(worker.exitcode for worker in workers):
        run.save()
        raise SfumatoError(
            f"A training worker ended unexpectedly (exit codes {', '.join(codes)}).",
            kept=f"The state was saved after {run.recorded().views:,} views.",
            advice="Run the same command again; it goes on from there.",
        )


def live(run: Run, worker: int, barrier: Barrier, deadline: float, troubles: object) -> None:
    """The body of a worker process; only its parent hears signals."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        run.work(worker, barrier, deadline)
    except BrokenError:
        os._exit(0)
    except SfumatoError as error:
        troubles.put((error.what, error.kept, error.advice))  # pyright: ignore[reportAttributeAccessIssue]
        raise SystemExit(1) from None
