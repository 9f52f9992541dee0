"""What `sfumato bench edits` says while it runs and at the end."""

from __future__ import annotations

import sys

import typer

from sfumato.benchmark import report
from sfumato.benchmark.publish import PAGE
from sfumato.benchmark.report import Header
from sfumato.benchmark.results import LINES
from sfumato.benchmark.session import Session
from sfumato.benchmark.table import Line

_WIDE = 240
"""Characters of a line of the table where it goes into a file or a pipe."""


def tell(table: list[Line], session: Session, header: Header, *, markdown: bool) -> None:
    """Say on standard output what came out."""
    if markdown:
        typer.echo(report.markdown(table))
        return
    typer.echo("\n".join(header.lines()))
    _print(table)
    for line in table:
        if line.refusal:
            typer.echo(f"{line.name} was not run: {line.refusal}")
        if line.lacking:
            typer.echo(f"{line.name} is not run on {line.lacking}")
        if line.failed:
            typer.echo(f"{line.name}: {line.failed} of its edits failed; the same command tries them again.")
    if session.results.damaged:
        typer.echo(f"{session.results.damaged} damaged lines of {LINES} were passed over.")
    typer.echo(f"{session.made} edits were made now. The pictures: {session.results.folder / PAGE}")


def _print(table: list[Line]) -> None:
    """The rows that were run; as wide as it has to be where nobody sees the edge of a terminal."""
    from rich.console import Console
    from rich.table import Table

    ran = [line for line in table if line.cases]
    columns = report.filled(ran)
    drawn = Table("pairing", box=None, pad_edge=False)
    for heading in ("cases", *(column.heading for column in columns)):
        drawn.add_column(heading, justify="right", no_wrap=not sys.stdout.isatty())
    for line in ran:
        drawn.add_row(line.name, str(line.cases), *(column.shown(line.means) for column in columns))
    Console(width=None if sys.stdout.isatty() else _WIDE).print(drawn)
