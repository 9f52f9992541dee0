"""The run of `sfumato bench edits`: how far it is, tables now and then, and a stop that loses nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import closing

import typer

from sfumato.benchmark.runner import Make
from sfumato.benchmark.session import Session, Step
from sfumato.cli.answers import bar, duration

LINES, TABLES = 60.0, 600.0
"""Seconds between two lines of a log, and between two times that tables are written."""


def followed(session: Session, make: Make, publish: Callable[[], object]) -> bool:
    """Do what is missing, showing how far it is and publishing now and then; return whether it was stopped.

    Raises as `Session.run` and `publish` do.
    """
    failed, line, table = 0, _Every(LINES), _Every(TABLES)
    try:
        with bar() as show, closing(session.run(make)) as steps:
            for step in steps:
                done = step.result
                what = f"{done.pairing}, case {done.case}"
                show(f"{what} ({step.done} of {step.total})", step.done, step.total, step.seconds_left)
                if done.failure:
                    failed += 1
                    typer.echo(f"{what}: {done.failure}", err=True)
                if not sys.stderr.isatty() and line.due():
                    typer.echo(_how_far(step, failed), err=True)
                if table.due():
                    publish()
    except KeyboardInterrupt:
        return True
    return False


def _how_far(step: Step, failed: int) -> str:
    """A line for a log, where there is no terminal to draw a bar on."""
    left = "" if step.seconds_left is None else f", about {duration(step.seconds_left)} left"
    return f"{step.done} of {step.total} edits done{left}; failed so far: {failed}."


class _Every:
    """Says at most once in so many seconds that it is time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = time.monotonic()

    def due(self) -> bool:
        now = time.monotonic()
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True
