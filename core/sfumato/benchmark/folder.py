"""Reading and writing folders of cases in PIE-Bench's structure."""

from __future__ import annotations

import io
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from PIL import ExifTags, Image

from sfumato.benchmark.cases import PIE_TYPES, Case, CaseFolder
from sfumato.benchmark.judge import Attribute, Expected
from sfumato.benchmark.masks import checked_runs
from sfumato.benchmark.metrics import Picture
from sfumato.errors import InputError
from sfumato.files.atomic import write_atomically
from sfumato.files.decoding import open_file, open_header, reading
from sfumato.files.lookup import is_file

MAPPING, TYPES = "mapping_file.json", "edit_types.json"
PICTURES, TRUTHS = "annotation_images", "truth_images"
_TURNED = range(5, 9)
"""EXIF orientations that exchange width and height."""


def read_cases(folder: Path) -> CaseFolder:
    """Read a folder of cases; what is wrong with a single one is told in `refused`, and the others are used.

    A file is a list of cases as `mapping_file.json` is, of any name, beside its pictures.
    Raises `InputError` if there is no list, it cannot be understood, or no case can be used.
    """
    path = _list_in(folder)
    root, entries = path.parent, _json_object(path)
    cases = []
    refused = {
        name: f"{count} cases have this id, so none is meant." for name, count in entries.twice.items()
    }
    for name, entry in entries.items():
        if name in refused:
            continue
        try:
            cases.append(_case(root, name, entry))
        except InputError as error:
            refused[name] = str(error)
    if not cases:
        why = f" The first of {len(refused)} says: {next(iter(refused.values()))}" if refused else ""
        raise InputError(f"{path} has no case that can be used.{why}")
    own = _json_object(root / TYPES) if (root / TYPES).exists() else {}
    return CaseFolder(tuple(cases), refused, {**PIE_TYPES, **{key: str(own[key]) for key in own}})


def _list_in(place: Path) -> Path:
    """The list of cases in a folder, or in the `data` of PIE-Bench's own, or the file that was named."""
    if place.is_file():
        return place
    if not place.is_dir():
        raise InputError(f"There is no folder {place}.")
    inner = place / "data" / MAPPING
    return inner if inner.is_file() and not (place / MAPPING).exists() else place / MAPPING


class _Object(dict[str, Any]):
    """An object of a JSON file, which knows what it has more than once."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        counts = Counter(name for name, _ in pairs)
        self.twice = {name: count for name, count in counts.items() if count > 1}


def _json_object(path: Path) -> _Object:
    with open_file(path) as file:
        data = file.read()
    try:
        found = json.loads(data, object_pairs_hook=_Object)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is damaged: it cannot be read as JSON ({error}).", advice="Get a fresh copy."
        ) from error
    if not isinstance(found, _Object):
        raise InputError(f"{path} is no list of cases by their ids.")
    return found


def _case(root: Path, name: str, entry: Any) -> Case:
    if not isinstance(entry, _Object):
        raise InputError("It is not an object with a picture and prompts.")
    _writable(name, "Its id")
    if entry.twice:
        raise InputError(f"It says {', '.join(entry.twice)} more than once.")
    entry = {key: value for key, value in entry.items() if value is not None}  # null says nothing
    picture = _picture(root, PICTURES, _text(entry, "image_path"), "picture")
    truth = None
    if entry.get("truth_path"):
        truth = _picture(root, TRUTHS, _text(entry, "truth_path"), "true edited picture")
    size = _size_of(picture)
    if truth is not None and _size_of(truth) != size:
        raise InputError("Its true edited picture has another size than its picture.")
    if not (_prompt(entry, "editing_prompt") or _prompt(entry, "editing_instruction")):
        raise InputError("It says neither what the picture should show nor what to do.")
    blended = _text(entry, "blended_word", "").split() if "blended_word" in entry else None
    world = entry.get("world", {})
    return Case(
        id=name,
        picture=picture,
        size=size,
        source=_prompt(entry, "original_prompt"),
        target=_prompt(entry, "editing_prompt"),
        instruction=_prompt(entry, "editing_instruction"),
        kind=_kind(entry.get("editing_type_id", "")),
        # One word alone is meant for both prompts, as "dog" in "a dog" -> "a sitting dog".
        blended=None if blended is None else tuple((blended * 2)[:2]),
        mask=checked_runs(entry["mask"], size) if "mask" in entry else None,
        truth=truth,
        expected=_expected(entry.get("expected", [])),
        world=world if isinstance(world, dict) else {"world": world},
    )


def _text(entry: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = entry.get(name, default)
    if not isinstance(value, str):
        raise InputError(f"Its {name} is missing." if value is None else f"Its {name} is not a text.")
    return _writable(value, f"Its {name}")


def _writable(text: str, what: str) -> str:
    """JSON can say half a character, which no file and no page takes."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{what} is damaged: it has half a character in it.") from error
    return text


def _kind(told: Any) -> str:
    """The id of an edit type, which is a text in PIE-Bench and may be a number elsewhere."""
    if isinstance(told, bool) or not isinstance(told, str | int):
        raise InputError("Its editing_type_id is neither a text nor a number.")
    return _writable(str(told), "Its editing_type_id")


def _prompt(entry: Mapping[str, Any], name: str) -> str:
    """Without the square brackets that mark changed words."""
    return " ".join(_text(entry, name, "").replace("[", "").replace("]", "").split())


def _picture(root: Path, place: str, name: str, what: str) -> Path:
    """The file of that name in the folder's place for such pictures, or in the folder itself."""
    if not name:
        raise InputError(f"Its {what} has no name.")
    inside = os.path.normpath(name)
    if Path(inside).is_absolute() or inside.startswith(".."):
        raise InputError(f"Its {what} {name} lies outside the folder.")
    for path in (root / place / inside, root / inside):
        if is_file(path, f"Its {what} {name}"):
            return path
    raise InputError(f"Its {what} {name} is missing.")


def _size_of(path: Path) -> tuple[int, int]:
    with open_file(path) as file, reading(path.name):
        image = open_header(file, path.name)
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) in _TURNED
        return (image.height, image.width) if turned else (image.width, image.height)


def _expected(told: Any) -> tuple[Expected, ...]:
    if not isinstance(told, list):
        raise InputError("What it expects is not a list.")
    found = []
    for each in told:
        match each:
            case {"what": what, "value": str(value)} if what in get_args(Attribute):
                thing = each.get("thing", 0)
            case _:
                raise InputError(f"It expects {json.dumps(each)}, which says no attribute with its value.")
        if type(thing) is not int or thing not in (0, 1):  # True and 1.0 are 1, too
            raise InputError(f"It expects something of thing {thing}; there are 0 and 1.")
        found.append(Expected(what, value, thing))
    return tuple(found)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A case and its pixels, (H, W, 3) uint8; `case.picture` and `case.truth` are not looked at."""

    case: Case
    source: Picture
    truth: Picture | None = None


def write_cases(folder: Path, cases: Iterable[Drawn], types: Mapping[str, str] | None = None) -> int:
    """Write a folder of cases that `read_cases` reads, and return how many there are.

    `types` are names of edit types beside PIE-Bench's. Pictures are written as lossless WebP; the mapping
    file comes last, so that a folder with one is whole. Raises `StorageError`.
    """
    names, entries = {**PIE_TYPES, **(types or {})}, {}
    for drawn in cases:
        case = drawn.case
        kind = f"{case.kind}_{_slug(names.get(case.kind, ''))}".strip("_") or "cases"
        name = f"{kind}/{case.id}.webp"
        _write(folder / PICTURES / name, _webp(drawn.source))
        if drawn.truth is not None:
            _write(folder / TRUTHS / name, _webp(drawn.truth))
        entries[case.id] = _entry(case, name, drawn.truth is not None)
    if types:
        _write(folder / TYPES, (json.dumps(dict(types), indent=1) + "\n").encode())
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(entry)}" for key, entry in entries.items())
    _write(folder / MAPPING, f"{{\n{lines}\n}}\n".encode())
    return len(entries)


def _entry(case: Case, name: str, has_truth: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "image_path": name,
        "original_prompt": case.source,
        "editing_prompt": case.target,
        "editing_instruction": case.instruction,
        "editing_type_id": case.kind,
    }
    if case.blended is not None:
        entry["blended_word"] = " ".join(case.blended)
    if case.mask is not None:
        entry["mask"] = list(case.mask)
    if has_truth:
        entry["truth_path"] = name
    if case.expected:
        entry["expected"] = [{"what": e.what, "thing": e.thing, "value": e.value} for e in case.expected]
    return entry | ({"world": dict(case.world)} if case.world else {})


def _webp(pixels: Picture) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "WEBP", lossless=True, method=6)
    return content.getvalue()


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as file:
        file.write(data)
