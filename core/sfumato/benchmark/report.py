"""The table as CSV, as Markdown, and as rows for a terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan

from sfumato.benchmark.plan import Row
from sfumato.benchmark.scoring import COLUMNS
from sfumato.benchmark.table import COSTS, Line, Scored, costs_of


@dataclass(frozen=True)
class Column:
    """A column for people: its heading, what it shows and in which unit."""

    heading: str
    name: str
    scale: float = 1.0
    digits: int = 2

    def shown(self, means: Mapping[str, float]) -> str:
        value = means.get(self.name, float("nan"))
        return "" if isnan(value) else f"{value * self.scale:.{self.digits}f}"


SHOWN = (
    Column("distance ×10³", "structure_distance_pie", 1e3),
    Column("PSNR", "psnr_unedit_part"),
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


@dataclass(frozen=True)
class Header:
    """What a table was made with and of."""

    model: str
    machine: str
    cases: int
    settings: str
    networks: Mapping[str, str] = field(default_factory=dict)
    """By what they measure."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Cases that could not be read, and why."""
    decoded: bool = False
    """Some rows are of what the model decodes."""

    def lines(self) -> list[str]:
        """In sentences."""
        told = [
            f"Model: {self.model}. {self.settings}.",
            f"Machine: {self.machine}.",
            f"Cases in the folder: {self.cases}. Each row says over how many its means are.",
        ]
        told.append(
            "Structure distance by " + self.networks["structure"] + "."
            if "structure" in self.networks
            else "No structure distance: no network was named for it (--structure)."
        )
        told.append(
            "CLIP score by " + self.networks["clip"] + "."
            if "clip" in self.networks
            else "No CLIP score: no network was named for it (--clip)."
        )
        if "attributes" in self.networks:
            told.append(f"Attributes read by {self.networks['attributes']}.")
        if self.decoded:
            told.append("Measured as the model decodes, before the picture's own detail is put back.")
        told.append("LPIPS is left out: it needs a network that has to be downloaded.")
        return told


def filled(lines: Sequence[Line]) -> list[Column]:
    """The columns in which some row has a figure."""
    return [column for column in SHOWN if any(column.shown(line.means) for line in lines)]


def markdown(lines: Sequence[Line]) -> str:
    """The table in Markdown, rows that were not run left out."""
    ran = [line for line in lines if line.cases]
    columns = filled(ran)
    rows = [["pairing", "cases", *(column.heading for column in columns)]]
    rows += [
        [f"`{line.name}`", str(line.cases), *(column.shown(line.means) for column in columns)] for line in ran
    ]
    rows.insert(1, ["---", *["---:"] * (len(columns) + 1)])
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def table_csv(lines: Sequence[Line]) -> str:
    """One row per pairing, every figure in full, raw units; empty where there is none."""
    head = ["pairing", "cases", "failed", *COLUMNS, *COSTS, "refused"]
    rows = [
        [
            line.name,
            line.cases,
            line.failed,
            *(_cell(line.means[name]) for name in (*COLUMNS, *COSTS)),
            line.refusal,
        ]
        for line in lines
    ]
    return _csv([head, *rows])


def cases_csv(rows: Iterable[tuple[Row, Scored]]) -> str:
    """One row per pairing and case; NaN and infinity by name, as PIE-Bench writes them."""
    head = ["pairing", "case", "type", *COLUMNS, *COSTS, "inversion_reused", "picture", "failure"]
    return _csv([
        head,
        *(
            [
                row.name,
                case.id,
                case.kind,
                *(_cell(result.scores.get(name), "nan") for name in COLUMNS),
                *(_cell(costs_of(result)[name]) for name in COSTS),
                int(result.reused),
                result.picture,
                result.failure,
            ]
            for row, scored in rows
            for case, result in scored
        ),
    ])  # fmt: skip


def _cell(value: float | None, without: str = "") -> str:
    return without if value is None or isnan(value) else repr(value)


def _csv(rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()
