"""Writing what a session came to: the page with pictures, two tables, and the recipe of each row."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from sfumato.benchmark.cases import CaseFolder
from sfumato.benchmark.header import Header
from sfumato.benchmark.page import page
from sfumato.benchmark.pairings import OWN
from sfumato.benchmark.plan import Row
from sfumato.benchmark.report import cases_csv, table_csv
from sfumato.benchmark.session import Session
from sfumato.benchmark.table import Line, lines
from sfumato.method import Recipe

PAGE, TABLE, CASES, RECIPES = "index.html", "table.csv", "cases.csv", "recipes.json"


def publish(session: Session, folder: CaseFolder, base: Recipe) -> tuple[Header, list[Line]]:
    """Write the tables and the page of what there is by now; `base` is what the rows' recipes began with.

    Raises `StorageError`.
    """
    scored = [(row, session.of(row)) for row in session.rows]
    inversions = session.results.inversions()
    table = lines(scored, inversions)
    processors = Counter(each.processor for _, found in scored for _, each in found if each.processor)
    header = _header(session, folder, base, processors)
    write = session.results.write
    write(TABLE, table_csv(table).encode())
    write(CASES, cases_csv(scored, inversions).encode())
    write(RECIPES, recipes_json(session.rows).encode())
    write(PAGE, page(header, folder, table, scored).encode())
    return header, table


def _header(session: Session, folder: CaseFolder, base: Recipe, processors: Mapping[str, int]) -> Header:
    here = session.keys.machine(base)
    ran = [row for row in session.rows if row.is_edit and row.cases]
    others: dict[str, tuple[str, ...]] = {}
    for row in ran:
        if (name := row.pairing.recipe.model) != base.model:
            title = session.workshop.describe(name).title
            others[title] = (*others.get(title, ()), row.name)
    return Header(
        model=session.workshop.describe(base.model).title,
        settings=_settings([row.pairing.recipe for row in ran] or [base]),
        machine=(f"{here['device']}, {here['precision']}, threads: {here['threads']}, torch {here['torch']}"),
        cases=len(folder.cases),
        others=others,
        networks=session.scorer.names,
        refused=folder.refused,
        decoded=tuple(row.name for row in ran if row.pairing.decoded),
        finished=tuple(row.name for row in ran if not row.pairing.decoded),
        processors=processors,
        expecting=sum(bool(case.expected) for case in folder.cases),
    )


def _settings(recipes: Sequence[Recipe]) -> str:
    """What rows were asked for, each value of it once."""

    def every(name: str) -> str:
        values = sorted({getattr(recipe, name) for recipe in recipes})
        return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)

    told = f"{every('steps')} steps, guidance {every('guidance')}, seed {every('seed')}"
    return f"{told}; {RECIPES} has the rest"


def recipes_json(rows: Iterable[Row]) -> str:
    """The options of each pairing, as a file that names the same pairings to another run."""
    prompts = {"source", "target", "instruction", "concepts"}
    entries = [
        {
            "name": row.name,
            **{name: getattr(row.pairing, name) for name in OWN},
            **row.pairing.recipe.model_dump(mode="json", exclude=prompts, exclude_none=True),
        }
        for row in rows
        if row.is_edit
    ]
    return json.dumps(entries, indent=1) + "\n"
