"""What a folder of results holds that a run cannot use, and why: said before anything is made again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from sfumato.benchmark.cases import Case
from sfumato.benchmark.keys import Depends, Keys
from sfumato.benchmark.plan import Row
from sfumato.benchmark.results import Result, Results

_HIDDEN = {
    "picture": "another picture",
    "settings": "other settings",
    "weights": "other weights",
    "program": "another version of the program",
}
"""What is kept as a hash."""
_OPTIONS = {"threads": "--threads", "device": "--device", "precision": "--precision"}
_PRECISIONS = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
Differences = tuple[tuple[str, str, str], ...]
"""(part, what it was, what it is)."""


def unused(rows: Iterable[Row], keys: Keys, results: Results) -> str:
    """One line on what was made of these pairings and cases under other conditions; empty if nothing was.

    What has been made under this run's conditions meanwhile is not missed. Raises as `Keys.of` does.
    """
    kept: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        if not result.failure:
            kept.setdefault((result.pairing, result.case), []).append(result)
    reasons: Counter[Differences] = Counter()
    for row in rows:
        for case in row.cases if row.is_edit else ():
            if (old := kept.get((row.name, case.id))) and not _is_there(row, case, keys, results):
                now = keys.depends(row, case)
                reasons[min((_differences(each.depends, now) for each in old), key=len)] += 1
    return " ".join(_said(count, why) for why, count in reasons.most_common())


def _is_there(row: Row, case: Case, keys: Keys, results: Results) -> bool:
    key = keys.of(row, case)
    found = results.get(key, case.id)
    return (found is not None and not found.failure) or results.made(key) is not None


def _differences(old: Depends, now: Depends) -> Differences:
    return tuple(
        (part, "" if part in _HIDDEN else str(old.get(part)), "" if part in _HIDDEN else str(now[part]))
        for part in now
        if old.get(part) != now[part]
    )


def _said(count: int, why: Differences) -> str:
    if not why:  # the conditions are the same: its pictures are gone
        return f"{_edits(count)} made before will be made again, for their pictures are gone."
    old = _listed(_HIDDEN.get(part) or _named(part, was) for part, was, _ in why)
    now = _listed(_named(part, new) for part, _, new in why if part not in _HIDDEN)
    here = f"; this run has {now}" if now else ""
    return f"{_edits(count)} made with {old} {'are' if count > 1 else 'is'} not used{here}.{_advice(why)}"


def _advice(why: Differences) -> str:
    """What to say to use them, if options are all it takes."""
    if any(part not in _OPTIONS for part, _, _ in why):
        return ""
    options = (f"{_OPTIONS[part]} {_PRECISIONS.get(was, was)}" for part, was, _ in why)
    return f" Say {' '.join(options)} to use them."


def _named(part: str, value: str) -> str:
    return f"{value} thread{'s'[: value != '1']}" if part == "threads" else f"{part} {value}"


def _edits(count: int) -> str:
    return f"{count} edit{'s'[: count > 1]}"


def _listed(names: Iterable[str]) -> str:
    return " and ".join(names)
