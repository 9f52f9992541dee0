"""How the command line answers: one sentence and an exit code, a progress bar where somebody can see it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TypeVar

import typer

from sfumato.errors import InputError, ModelError, SfumatoError
from sfumato.events import Outcome
from sfumato.failure import explain
from sfumato.files.lookup import looking_up
from sfumato.method import Job, Progress
from sfumato.pace import Advance, Pace
from sfumato.pairing import PairingError
from sfumato.perform import perform
from sfumato.walking import Walk, stepped
from sfumato.workshop import Workshop

R = TypeVar("R")
FAILURE, BAD_INPUT, INTERRUPTED = 1, 2, 130


def version_text() -> str:
    """The program's name and version."""
    return f"sfumato {version('sfumato')}"


@contextmanager
def answering() -> Iterator[None]:
    """Turn an error for people into its sentence and exit code; a bug keeps its traceback."""
    try:
        with looking_up():
            yield
    except SfumatoError as error:
        typer.echo(f"sfumato: {error}", err=True)
        if error.details:
            typer.echo(error.details, err=True)
        raise typer.Exit(exit_code(error)) from error
    except KeyboardInterrupt:
        typer.echo("sfumato: Stopped; nothing was written.", err=True)
        raise typer.Exit(INTERRUPTED) from None


def exit_code(error: SfumatoError) -> int:
    """2 if the request was at fault, 1 if it was good and failed."""
    return BAD_INPUT if isinstance(error, InputError | ModelError | PairingError) else FAILURE


def run(job: Job, workshop: Workshop) -> Outcome:
    """Perform a job in the foreground. Raises `SfumatoError`; a bug is one that carries details."""
    return follow(perform(job, workshop), job)


def follow(work: Generator[Advance, None, R], job: Job) -> R:
    """Go through `work`, which is about `job`, showing how far it is. Raises as `run` does."""
    steps = stepped(work)
    walk, pace = Walk(steps), Pace()
    pace.begin()
    try:
        with bar() as show:
            for now in walk:
                show(now.stage, now.step, now.total, pace.seconds_left(now))
        return walk.result
    except Exception as error:
        raise explain(error, job) from error.__cause__
    finally:
        steps.close()


def walked(steps: Generator[Progress, None, R]) -> R:
    """Go through long work in the foreground, showing how far it is, and return what it returns."""
    walk = Walk(steps)
    try:
        with bar() as show:
            for now in walk:
                show(now.stage, now.step, now.total, None)
        return walk.result
    finally:
        steps.close()


@contextmanager
def counting(total: int) -> Iterator[Callable[[], None]]:
    """Show how many of so many things are done, and how long the rest will take; call it after each."""
    began, done = time.monotonic(), 0

    def count() -> None:
        nonlocal done
        done += 1
        left = (time.monotonic() - began) / done * (total - done)
        show(f"{done} of {total}", done, total, left)

    with bar() as show:
        show(f"0 of {total}", 0, total, None)
        yield count


class _Bar:
    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}")
        self.progress = Progress(
            *columns, console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty()
        )
        self.task = self.progress.add_task("Starting", total=None, left="")

    def __call__(self, stage: str, step: int, total: int, seconds_left: float | None) -> None:
        left = "" if seconds_left is None else f"about {duration(seconds_left)} left"
        self.progress.update(self.task, description=stage, completed=step, total=total, left=left)


@contextmanager
def bar() -> Iterator[Callable[[str, int, int, float | None], None]]:
    """A progress bar on a terminal, nothing elsewhere: call it with stage, step, total, seconds left."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    shown = _Bar()
    with shown.progress:
        yield shown


def duration(seconds: float) -> str:
    """So long, as people say it: in seconds, minutes or hours."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
