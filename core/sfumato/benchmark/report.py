"""The table as CSV, as Markdown, and as rows for a terminal."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isinf, isnan

from sfumato.benchmark.header import Header
from sfumato.benchmark.plan import Row
from sfumato.benchmark.results import Result
from sfumato.benchmark.scoring import COLUMNS
from sfumato.benchmark.table import COSTS, EXACT, Line, Scored, costs_of


@dataclass(frozen=True)
class Column:
    """A column for people: its heading, what it shows and in which unit."""

    heading: str
    name: str
    scale: float = 1.0
    digits: int = 2

    def shown(self, means: Mapping[str, float]) -> str:
        """The figure; "exact" where all cases are equal to what they are compared with, empty without any."""
        value = means.get(self.name, float("nan"))
        if isinf(value):
            return EXACT
        return "" if isnan(value) else f"{value * self.scale:.{self.digits}f}"


SHOWN = (
    Column("distance ×10³", "structure_distance_pie", 1e3),
    Column("PSNR", "psnr_unedit_part"),
    Column("exact", EXACT, digits=0),
    Column("MSE ×10⁴", "mse_unedit_part", 1e4),
    Column("SSIM ×10²", "ssim_unedit_part", 1e2),
    Column("CLIP whole", "clip_similarity_target_image"),
    Column("CLIP edited", "clip_similarity_target_image_edit_part"),
    Column("right %", "attributes_right", 1e2, 1),
    Column("gain", "gain"),
    Column("truth in", "psnr_truth_inside"),
    Column("truth out", "psnr_truth_outside"),
    Column("inversion rows", "inversion_rows", digits=0),
    Column("edit rows", "edit_rows", digits=0),
    Column("inversion s", "inversion_seconds"),
    Column("edit s", "edit_seconds"),
)
"""In the units of the published tables."""


def shown(lines: Sequence[Line]) -> tuple[list[str], list[list[str]]]:
    """The table for people: its head, and the rows that were run; columns without any figure are left out."""
    ran = [line for line in lines if line.cases]
    columns = [column for column in SHOWN if any(column.shown(line.means) for line in ran)]
    noted = any(line.noted for line in ran)
    head = ["pairing", "cases", *(column.heading for column in columns), *(["notes"] if noted else [])]
    rows = [
        [line.name, str(line.cases), *(column.shown(line.means) for column in columns)]
        + ([str(line.noted)] if noted else [])
        for line in ran
    ]
    return head, rows


def markdown(header: Header, lines: Sequence[Line]) -> str:
    """What the table was made with, the table, and what was not run, in Markdown."""
    head, rows = shown(lines)
    told = [f"- {_plain(each)}" for each in troubles(header, lines)]
    return "\n".join([
        *(f"- {_plain(each)}" for each in header.lines()),
        "",
        markdown_table(head, ([f"`{row[0]}`", *row[1:]] for row in rows)),
        *(["", *told] if told else []),
    ])  # fmt: skip


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells as a table in Markdown: the first column is of names, the others are of numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _plain(sentence: str) -> str:
    """A sentence in which Markdown finds no marks of its own."""
    return re.sub(r"([\\`*_<>|])", r"\\\1", sentence)


def troubles(header: Header, lines: Sequence[Line]) -> list[str]:
    """What was not run, what failed, and what edits had to say, in sentences; each reason once."""
    told = [f"{line.name} was not run: {line.refusal}" for line in lines if line.refusal]
    told += [f"{line.name} is not run on {line.lacking}" for line in lines if line.lacking]
    told += [f"Case {name} is not used: {why}" for name, why in header.refused.items()]
    told += _counted("failed", {line.name: line.failures for line in lines})
    told += _counted("made with a note", {line.name: line.notes for line in lines})
    return told


def _counted(what: str, said: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Each sentence once, with how many edits it is of, and of which rows."""
    found: dict[str, dict[str, int]] = {}
    for name, sentences in said.items():
        for sentence, count in sentences.items():
            found.setdefault(sentence, {})[name] = count
    told = []
    for sentence, rows in found.items():
        count, names = sum(rows.values()), ", ".join(f"{name} {each}" for name, each in rows.items())
        told.append(f"{count} edit{'s'[: count > 1]} {what} ({names}): {sentence}")
    return told


def table_csv(lines: Sequence[Line]) -> str:
    """One row per pairing, every figure in full, raw units; empty where there is none.

    Columns of the finished pictures come first, then those of what the model decoded.
    """
    figures = (*COLUMNS, EXACT)
    decoded = (f"decoded_{name}" for name in figures)
    head = ["pairing", "cases", "failed", "notes", *figures, *COSTS, *decoded, "refused"]
    rows = [
        [
            line.name,
            line.cases,
            line.failed,
            line.noted,
            *(_mean(line.finished.get(name)) for name in (*figures, *COSTS)),
            *(_mean(line.decoded.get(name)) for name in figures),
            line.refusal,
        ]
        for line in lines
    ]
    return _csv([head, *rows])


def cases_csv(rows: Iterable[tuple[Row, Scored]], inversions: Mapping[str, Result]) -> str:
    """One row per pairing and case; NaN and infinity by name, as PIE-Bench writes them.

    `inversions` as in `lines`.
    """
    head = ["pairing", "case", "type", *COLUMNS, *COSTS, "inversion_reused", "picture", "failure", "notes"]
    head += ["processor", "decoded_picture", *(f"decoded_{name}" for name in COLUMNS)]
    return _csv([
        head,
        *(
            [
                row.name,
                case.id,
                case.kind,
                *(_cell(result.scores.get(name), "nan") for name in COLUMNS),
                *(_cell(each) for each in costs_of(result, inversions).values()),
                int(result.reused),
                result.picture,
                result.failure,
                " ".join(result.notes),
                result.processor,
                result.picture_as(decoded=True),
                *(_cell(result.scores_as(decoded=True).get(name), "nan") for name in COLUMNS),
            ]
            for row, scored in rows
            for case, result in scored
        ),
    ])  # fmt: skip


def _mean(value: float | None) -> str:
    return EXACT if value is not None and isinf(value) else _cell(value)


def _cell(value: float | None, without: str = "") -> str:
    return without if value is None or isnan(value) else repr(value)


def _csv(rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()
