"""Tasks for the tests of `sfumato.many`: functions that other processes find, and a workshop that is none."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sfumato.benchmark.cases import png
from sfumato.benchmark.runner import Made, Task
from sfumato.errors import InputError


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
    """Do what `what` says: fail, bug, die, unpicklable, mark FILE, wait FOLDER COUNT, begin or stay FOLDER.

    Who stays does not hear SIGTERM.
    """
    match what.split():
        case ["fail"]:
            raise InputError("It cannot be done.", advice="Ask for less.")
        case ["bug"]:
            raise ZeroDivisionError("a bug")
        case ["die"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["mark", path]:
            Path(path).touch()
        case ["wait", folder, count]:
            while len(list(Path(folder).iterdir())) < int(count):
                time.sleep(0.02)
        case ["begin", folder]:
            try:  # before it says so: who hears of it may end this process at once
                (Path(folder) / f"{os.getpid()}").touch()
                time.sleep(60)
            finally:
                (Path(folder) / "unwound").touch()
        case ["stay", folder]:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            (Path(folder) / f"{os.getpid()}").touch()
            time.sleep(60)
        case ["unpicklable"]:
            return lambda: None  # type: ignore[return-value]
    return what


def copied(task: Task, bench: Any) -> Made:
    """A picture as it is, with a line in a file of the folder NOTES; the first one kills its process."""
    notes = Path(os.environ["NOTES"])
    name = hashlib.sha256(task.picture + task.kind.encode()).hexdigest()
    with (notes / f"{name}.txt").open("a") as file:
        file.write("begun\n")
    try:
        (notes / "killed").touch(exist_ok=False)
    except FileExistsError:
        with Image.open(io.BytesIO(task.picture)) as picture:
            return Made(png(np.asarray(picture)), {}, {"inversion": 0.0, "edit": 0.1})
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def bugged(task: Task, bench: Any) -> Made:
    """Meet a bug."""
    raise ZeroDivisionError("a bug")


def noted(task: tuple[str, str], bench: Any) -> str:
    """Leave a line in a file for each time a task is begun; die the first time "mortal" is."""
    name, folder = task
    with (Path(folder) / name).open("a") as file:
        file.write(f"{os.getpid()}\n")
    if name == "mortal" and len((Path(folder) / name).read_text().splitlines()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return name
