"""What was made so far, in a folder: a line and a picture for each edit, so that nothing is made twice."""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Any

from sfumato.errors import InputError, StorageError
from sfumato.events import Cost
from sfumato.files.atomic import write_atomically

LINES, PICTURES, FAILURES = "results.jsonl", "pictures", "failures.log"
_LONGEST = 150
"""Characters of a name: most file systems take 255, of which an ending needs a few."""
_SCORES = ("scores", "decoded_scores")
_PNG_BEGIN, _PNG_END = b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IEND\xaeB`\x82"


@dataclass(frozen=True)
class Result:
    """One edit of one case: its figures, or why there are none."""

    key: str
    """A hash of all its pictures depend on: picture, recipe, model, methods and machine, but not the case."""
    pairing: str
    case: str
    failure: str = ""
    """In one sentence; empty for an edit that was made."""
    picture: str = ""
    """The finished picture's path in the folder; cases that ask for the same share it."""
    decoded: str = ""
    """The path of what the model decoded; empty if that is the finished picture."""
    costs: Mapping[str, Cost] = field(default_factory=dict)
    """Rows of "inversion" and "edit"."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    reused: bool = False
    """The inversion was another pairing's, so its costs here are none."""
    inversion: str = ""
    """What it is kept under; who made it has the same."""
    inversion_seconds: float | None = None
    """What it took whoever made it, who may have been stopped before the edit; None if that is not known."""
    notes: tuple[str, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    """Of the finished picture."""
    decoded_scores: Mapping[str, float] = field(default_factory=dict)
    """Of what the model decoded, if that is another picture."""
    scored: str = ""
    """A hash of what the scores depend on beside the picture: the case and the networks."""
    processor: str = ""
    """The name of what computed it, which decides its seconds."""
    depends: Mapping[str, Any] = field(default_factory=dict)
    """What the key is a hash of, part by part: what a person knows in plain, the rest as hashes."""
    smaller: bool = False
    """Memory was short, so that it is not quite what its key says: shown, but tried again by the next run."""

    def picture_as(self, *, decoded: bool) -> str:
        """The path of the finished picture, or of what the model decoded."""
        return (self.decoded if decoded else "") or self.picture

    def scores_as(self, *, decoded: bool) -> Mapping[str, float]:
        """The figures of that picture."""
        return self.decoded_scores if decoded and self.decoded else self.scores

    def to_json(self) -> str:
        """One line; numbers JSON cannot hold become "nan" and "inf", as in PIE-Bench's own tables."""
        told = {name: getattr(self, name) for name in self.__dataclass_fields__}
        told["costs"] = {
            phase: [each.forward, each.backward, each.control] for phase, each in self.costs.items()
        }
        for name in _SCORES:
            told[name] = {key: each if isfinite(each) else str(each) for key, each in told[name].items()}
        return json.dumps(told, allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> Result:
        """Read a line. Raises `ValueError`, `TypeError` or `KeyError` for one that is none."""
        told: dict[str, Any] = json.loads(line)
        told["costs"] = {phase: Cost(*each) for phase, each in told["costs"].items()}
        for name in _SCORES:
            told[name] = {key: float(each) for key, each in told[name].items()}
        told["notes"] = tuple(told["notes"])
        return cls(**told)


class Results:
    """A folder of results. Lines are only ever added; of two with one key and one case the later counts.

    A line cut short by a power cut or a kill is passed over, and its edit is made again.
    """

    def __init__(self, folder: Path) -> None:
        """Open a folder, making it if need be. Raises `InputError` or `StorageError`."""
        self.folder = folder
        self.damaged = 0
        """Lines that could not be read."""
        self._kept: dict[tuple[str, str], Result] = {}
        self._made: dict[str, Result] = {}
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file; results need a folder.")
        try:
            (folder / PICTURES).mkdir(parents=True, exist_ok=True)
            self._read()
        except OSError as error:
            raise StorageError(f"{folder} cannot be used for results: {error.strerror}.") from error

    def _read(self) -> None:
        path = self.folder / LINES
        for line in path.read_bytes().splitlines() if path.exists() else ():
            try:
                result = Result.from_json(line.decode())
            except (ValueError, TypeError, KeyError, AttributeError):
                self.damaged += 1
                continue
            self._note(result)

    def _note(self, result: Result) -> None:
        before = self._kept.get((result.key, result.case))
        if result.failure and before is not None and before.smaller and before.scored:
            return  # to be tried again in any case, and something is better than nothing
        self._kept[result.key, result.case] = result
        if not (result.failure or result.smaller):
            self._made[result.key] = result

    def get(self, key: str, case: str) -> Result | None:
        """The result of that key for a case: a failure, or one whose pictures are still there."""
        found = self._kept.get((key, case))
        return found if found is None or found.failure or self._has_pictures(found) else None

    def made(self, key: str) -> Result | None:
        """What was made of that key for any case, as it was asked for; its figures are that case's own."""
        found = self._made.get(key)
        return found if found is not None and self._has_pictures(found) else None

    def __iter__(self) -> Iterator[Result]:
        """All of them, whatever became of their pictures."""
        yield from self._kept.values()

    def inversions(self) -> dict[str, Result]:
        """Who made each inversion, by what it is kept under."""
        return {each.inversion: each for each in self if each.inversion and not each.reused}

    def _has_pictures(self, result: Result) -> bool:
        return all(_is_whole(self.folder / each) for each in (result.picture, result.decoded) if each)

    def add(self, result: Result, pictures: Mapping[str, bytes] | None = None) -> None:
        """Keep a result, its pictures first, by their paths. Raises `StorageError`."""
        for name, picture in (pictures or {}).items():
            self.write(name, picture)
        self._append(LINES, result.to_json())
        self._note(result)

    def report(self, what: str, details: str) -> str:
        """Keep the details of a failure, such as a traceback; returns where. Raises `StorageError`."""
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        self._append(FAILURES, f"{now} {what}\n{details}")
        return str(self.folder / FAILURES)

    def _append(self, name: str, text: str) -> None:
        """Add lines to a file, and have them on the disk. Raises `StorageError`."""
        try:
            with (self.folder / name).open("ab+") as file:
                if file.tell():  # after a line that was cut short, start a new one
                    file.seek(-1, os.SEEK_END)
                    file.write(b"" if file.read(1) == b"\n" else b"\n")
                file.write(text.encode(errors="replace") + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageError(
                f"{self.folder / name} could not be written: {error.strerror}.",
                kept="All results before this one are kept.",
                advice="Make room and run the same command again: it goes on from there.",
            ) from error

    def write(self, name: str, data: bytes) -> None:
        """Write a file of the folder. Raises `StorageError`."""
        path = self.folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"The folder {path.parent} cannot be made: {error.strerror}.") from error
        with write_atomically(path) as file:
            file.write(data)


def _is_whole(picture: Path) -> bool:
    """Whether it is there and, if it is a PNG, begins and ends as one does."""
    try:
        with picture.open("rb") as file:
            begin = file.read(len(_PNG_BEGIN))
            file.seek(-min(len(_PNG_END), picture.stat().st_size), os.SEEK_END)
            return picture.suffix != ".png" or (begin == _PNG_BEGIN and file.read() == _PNG_END)
    except OSError:
        return False


def place_of(case: str, name: str) -> str:
    """The path, in a folder of results, of a case's picture of that name."""
    return f"{PICTURES}/{_plain(case)}/{_plain(name)}"


def _plain(name: str) -> str:
    """A name no file system minds; what had to be changed is told apart by a checksum."""
    plain = re.sub(r"[^A-Za-z0-9._+-]+", "_", name).strip(".")[:_LONGEST]
    if plain == name:
        return name

    return f"{plain or 'case'}-{zlib.crc32(name.encode()):08x}"
