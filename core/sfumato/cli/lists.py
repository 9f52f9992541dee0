"""Many pictures named at once: folders, several files, and lists with a line for each."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sfumato.cli.pictures import PROJECT, control_of
from sfumato.errors import InputError
from sfumato.files.decoding import open_file
from sfumato.files.images import FORMAT_OF
from sfumato.params import explain

LISTS = (".txt", ".jsonl", ".csv")
OPENED = (*FORMAT_OF, ".avif", PROJECT)
"""Endings of what is taken from a folder."""
_BETWEEN = "|"
"""Separates several values in one cell of a table."""
_NAMED = 20
"""Bad lines that are named; a list of another kind has nothing else."""


@dataclass(frozen=True)
class Entry:
    """One picture that is to be edited."""

    where: str
    """Where it was named, for people."""
    picture: Path
    said: Mapping[str, Any] = field(default_factory=dict)
    """What its line says, by the arguments of `sfumato edit`; it goes before the options."""
    output: str = ""
    """The name of its result; empty for its own."""


def is_many(places: Sequence[Path]) -> bool:
    """Whether these stand for more than the one picture that is named."""
    return len(places) != 1 or places[0].is_dir() or places[0].suffix.lower() in LISTS


def entries(places: Iterable[Path]) -> list[Entry]:
    """Every picture that files, folders and lists name, in their order.

    Raises `InputError`, with every bad line of a list by its number.
    """
    found: list[Entry] = []
    for place in places:
        if place.is_dir():
            found += [Entry(str(path), path) for path in _pictures(place)]
        elif place.suffix.lower() in LISTS:
            found += _listed(place)
        else:
            found.append(Entry(str(place), place))
    return found


def refuse(bad: Sequence[str], what: str) -> None:
    """Raise `InputError` with one sentence for each of the `bad`, if there are any."""
    if not bad:
        return
    more = [f"and {len(bad) - _NAMED} more"] if len(bad) > _NAMED else []
    lines = "".join(f"\n  {line}" for line in [*bad[:_NAMED], *more])
    raise InputError(f"{what}; nothing was run:{lines}")


def _pictures(folder: Path) -> list[Path]:
    """The pictures in a folder, by name. Raises `InputError` if there are none."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in OPENED and path.is_file())
    found = [path for path in files if not path.name.startswith(".")]
    if not found:
        raise InputError(f"There is no picture in the folder {folder}.")
    return found


def _listed(place: Path) -> list[Entry]:
    with open_file(place) as file:
        try:
            text = file.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(f"{place.name} is not a text file in UTF-8.") from error
    read = {".txt": _plain, ".jsonl": _json_lines, ".csv": _table}[place.suffix.lower()]
    found, bad = [], []
    for number, line in read(text):
        where = f"line {number} of {place.name}"
        try:
            if isinstance(line, str):
                raise InputError(line)
            found.append(_entry(where, line, place.parent))
        except InputError as error:
            bad.append(f"{where}: {error}")
    refuse(bad, f"{place.name} cannot be used as it is")
    if not found:
        raise InputError(f"{place.name} names no picture.")
    return found


_Lines = Iterator[tuple[int, dict[str, Any] | str]]
"""(number, what it says), or (number, the sentence why it says nothing)."""


def _plain(text: str) -> _Lines:
    for number, line in enumerate(text.splitlines(), 1):
        if (path := line.strip()) and not path.startswith("#"):
            yield number, {"picture": path}


def _json_lines(text: str) -> _Lines:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            said = None
        yield (
            number,
            said if isinstance(said, dict) else 'It is no JSON object, such as {"picture": "a.png"}.',
        )


def _table(text: str) -> _Lines:
    """Rows under a line of names; what divides them is the most frequent of comma, semicolon, tab."""
    header = text.partition("\n")[0]
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=header.count), strict=True)
    try:
        names = [name.strip() for name in next(rows, [])]
        if twice := [name for name, count in Counter(names).items() if name and count > 1]:
            yield rows.line_num, f"It names {', '.join(twice)} more than once."
            return
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) > len(names):
                yield rows.line_num, f"It has {len(row)} cells, but there are {len(names)} columns."
            else:
                yield rows.line_num, dict(zip(names, row, strict=False))
    except csv.Error as error:
        yield rows.line_num, f"It is no line of a table: {error}."


def _texts(value: Any, equals: str = "=") -> Any:
    """Several values: a list, "a|b" in one cell, or NAME: VALUE in JSON."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(_BETWEEN) if part.strip()]
    if isinstance(value, dict):
        return [f"{name}{equals}{each}" for name, each in value.items()]
    return value


_Texts = Annotated[list[str] | None, BeforeValidator(_texts)]
_Concepts = Annotated[list[str] | None, BeforeValidator(lambda value: _texts(value, ":"))]


class _Line(BaseModel):
    """What a line may say: by the fields, arguments of `sfumato edit`; in the file, its options."""

    model_config = ConfigDict(extra="forbid", alias_generator=lambda name: name.replace("_", "-"))

    picture: str = Field(min_length=1)
    output: str = ""
    source: str | None = None
    target: str | None = None
    negative: str | None = None
    instruction: str | None = None
    weight: _Texts = None
    concept: _Concepts = None
    inverter: str | None = None
    method: str | None = None
    values: _Texts = Field(None, alias="set")
    inverter_values: _Texts = Field(None, alias="set-inverter")
    mask: str | None = None
    auto_mask: str | None = None
    auto_mask_values: _Texts = Field(None, alias="set-mask")
    control: _Texts = None
    preprocessor: str | None = None
    preprocessor_values: _Texts = Field(None, alias="set-preprocessor")
    start: float | None = None
    steps: int | None = None
    guidance: float | None = None
    eta: float | None = None
    solver: str | None = None
    timestep_offset: int | None = None
    encoding: str | None = None
    seed: int | None = None
    candidates: int | None = None
    model: str | None = None
    lora: _Texts = None
    embedding: _Texts = None
    vae: str | None = None


NAMES = tuple(field.alias or name for name, field in _Line.model_fields.items())
"""What a line may say."""


def _entry(where: str, told: Mapping[str, Any], folder: Path) -> Entry:
    """Read one line; paths in it start at the `folder` of the list, empty cells say nothing."""
    plain = {str(name).strip().lower().replace("_", "-"): value for name, value in told.items()}
    said = {name: value for name, value in plain.items() if value is not None and value != ""}
    if "picture" not in said:
        raise InputError("It names no picture.")
    try:
        line = _Line.model_validate(said)
    except ValidationError as error:
        raise InputError(explain(error, "A line", NAMES)) from error
    given = line.model_dump(exclude_none=True, exclude={"picture", "output"})

    def at(path: str) -> Path:
        try:
            return folder / Path(path).expanduser()
        except RuntimeError:  # "~$scan.png" is a name, no home of anybody
            return folder / path

    for name in ("mask", "vae"):
        if name in given:
            given[name] = at(given[name])
    if line.model is not None and at(line.model).exists():  # else it is the name of one
        given["model"] = str(at(line.model))
    if line.embedding is not None:
        given["embedding"] = [at(path) for path in line.embedding]
    if line.lora is not None:
        given["lora"] = [str(at(path)) for path in line.lora]
    if line.control is not None:
        given["control"] = [f"{name}={at(path)}" for name, path in map(control_of, line.control)]
    return Entry(where, at(line.picture), given, line.output)
