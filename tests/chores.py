"""Tasks for the tests of `sfumato.many`: functions that other processes find, and a workshop that is none."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfumato.errors import InputError

AT_ONCE = 4
"""Workers that a test waits for, at most."""


@dataclass(frozen=True)
class Bench:
    """What takes the place of a workshop: who opened it, and with what."""

    process: int
    choices: dict[str, Any]


def opened(**choices: Any) -> Bench:
    return Bench(os.getpid(), choices)


def doubled(number: int, bench: Any) -> tuple[int, int, int, Any]:
    """(twice the number, this process, the process that opened the bench, its threads)."""
    return 2 * number, os.getpid(), bench.process, bench.choices.get("threads")


def chore(what: str, bench: Any) -> str:
    """Do what `what` says: "fail", "bug", "die", "die once FOLDER", "wait FOLDER NAME"; else say it back."""
    match what.split():
        case ["fail"]:
            raise InputError("It cannot be done.", advice="Ask for less.")
        case ["bug"]:
            raise ZeroDivisionError("a bug")
        case ["die"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["die", "once", folder]:
            place = Path(folder) / "died"
            if not place.exists():
                place.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        case ["begin", folder]:
            (Path(folder) / f"{os.getpid()}").touch()
            try:
                time.sleep(60)
            finally:
                (Path(folder) / "unwound").touch()
        case ["unpicklable"]:
            return lambda: None  # type: ignore[return-value]
    return what


def noted(task: tuple[str, str], bench: Any) -> str:
    """Leave a line in a file for each time a task is begun; die the first time "mortal" is."""
    name, folder = task
    with (Path(folder) / name).open("a") as file:
        file.write(f"{os.getpid()}\n")
    if name == "mortal" and len((Path(folder) / name).read_text().splitlines()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return name
