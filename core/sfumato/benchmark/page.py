"""The results as one page with pictures, to be opened from the folder they lie in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from math import isinf, isnan
from urllib.parse import quote

from sfumato.benchmark.case_pictures import copies
from sfumato.benchmark.cases import Case, CaseFolder
from sfumato.benchmark.header import Header
from sfumato.benchmark.pairings import IDENTITY, TRUTH
from sfumato.benchmark.plan import Row
from sfumato.benchmark.report import Column, shown, troubles
from sfumato.benchmark.results import Result
from sfumato.benchmark.table import EXACT, Line, Scored

BY_TYPE = (
    Column("right %", "attributes_right", 1e2, 1),
    Column("PSNR", "psnr_unedit_part"),
    Column("exact", EXACT, digits=0),
)
"""What is told per edit type: whether the edit came, and what it left alone."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1c1c20; --paper: #fff; --faint: #666; --line: #ddd; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8ea; --paper: #17171a; --faint: #9a9aa2; --line: #3a3a40; }
}
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
.wide { overflow-x: auto; }
.row { display: flex; flex-wrap: wrap; gap: .6rem; }
figure { margin: 0; width: 160px; }
img { width: 160px; height: auto; display: block; }
figcaption, .faint { color: var(--faint); font-size: .85rem; overflow-wrap: anywhere; }
article { margin: 1.2rem 0 2rem; }
h3 { margin: 0; font-size: 1rem; }
p { margin: .2rem 0; }
"""


def page(
    header: Header, folder: CaseFolder, lines: Sequence[Line], rows: Sequence[tuple[Row, Scored]]
) -> str:
    """HTML that loads nothing but the pictures beside it."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Edits</title><style>{_STYLE}</style></head><body>",
        "<h1>Edits</h1>",
        *(f"<p>{escape(sentence)}</p>" for sentence in header.lines()),
        *_rows(*shown(lines)),
        *_by_type(folder, lines),
        *_troubles(header, lines, rows),
        *_cases(folder, rows),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _by_type(folder: CaseFolder, lines: Sequence[Line]) -> Iterator[str]:
    """A table for each figure that is told per edit type."""
    kinds = sorted({kind for line in lines for kind in line.kinds})
    for column in BY_TYPE:
        cells = [[line.name, *(column.shown(line.kinds.get(kind, {})) for kind in kinds)] for line in lines]
        cells = [row for row in cells if any(row[1:])]
        if cells:
            yield f"<h2>{escape(column.heading)} by edit type</h2>"
            yield from _rows(["pairing", *(folder.type_of(kind) for kind in kinds)], cells)


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield '<div class="wide"><table>'
    yield "<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"
    for row in rows:
        yield "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
    yield "</table></div>"


def _troubles(header: Header, lines: Sequence[Line], rows: Sequence[tuple[Row, Scored]]) -> Iterator[str]:
    """What was not run, what failed, and why; then the cases of each failure."""
    yield from _listed("Not run, failed, or made with a note", troubles(header, lines))
    failed = [
        f"{row.name}, case {case.id}: {result.failure}"
        for row, scored in rows
        for case, result in scored
        if result.failure
    ]
    yield from _listed("Failed edits, one by one", failed)


def _listed(title: str, told: Sequence[str]) -> Iterator[str]:
    if told:
        yield f"<h2>{title}</h2><ul>"
        yield from (f"<li>{escape(each)}</li>" for each in told)
        yield "</ul>"


def _cases(folder: CaseFolder, rows: Sequence[tuple[Row, Scored]]) -> Iterator[str]:
    """Every case with what each pairing made of it, by edit type."""
    made: dict[str, list[tuple[Row, Result]]] = {}
    used: dict[str, Case] = {}
    for row, scored in rows:
        for case, result in scored:
            if not result.failure:
                used[case.id] = case
                made.setdefault(case.id, []).append((row, result))
    for kind in sorted({case.kind for case in used.values()}):
        yield f"<h2>{escape(folder.type_of(kind))}</h2>"
        for case in used.values():
            if case.kind == kind:
                yield from _case(case, made[case.id])


def _case(case: Case, made: Iterable[tuple[Row, Result]]) -> Iterator[str]:
    source, truth = copies(case)
    yield f"<article><h3>{escape(case.id)}</h3>"
    yield f"<p>{escape(case.source)} → {escape(case.target)}</p>"
    if case.instruction:
        yield f'<p class="faint">{escape(case.instruction)}</p>'
    yield '<div class="row">'
    yield _figure(source, "source")
    if case.truth is not None:
        yield _figure(truth, "true edit")
    for row, result in made:
        if row.name not in (IDENTITY, TRUTH):
            decoded = row.pairing.decoded
            noted = [_noted(result.scores_as(decoded=decoded)), *result.notes]
            yield _figure(result.picture_as(decoded=decoded), row.name, *noted)
    yield "</div></article>"


def _figure(path: str, title: str, *notes: str) -> str:
    lines = "<br>".join(escape(each) for each in (title, *notes) if each)
    return (
        f'<figure><img loading="lazy" src="{escape(quote(path))}" alt="{escape(title)}">'
        f"<figcaption>{lines}</figcaption></figure>"
    )


def _noted(scores: Mapping[str, float]) -> str:
    """Whether the attributes are right, and what was left alone."""
    right, kept = (scores.get(name, float("nan")) for name in ("attributes_right", "psnr_unedit_part"))
    told = [] if isnan(right) else ["right" if right else "not right"]
    background = EXACT if isinf(kept) else f"{kept:.1f} dB"
    return ", ".join(told + ([] if isnan(kept) else [f"background {background}"]))
