"""What `sfumato bench edits` says while it runs and at the end."""

from __future__ import annotations

import sys

import typer

from sfumato.benchmark import report
from sfumato.benchmark.header import Header
from sfumato.benchmark.publish import PAGE
from sfumato.benchmark.results import LINES
from sfumato.benchmark.session import Session
from sfumato.benchmark.table import Line

_WIDE = 240
"""Characters of a line of the table where it goes into a file or a pipe."""


def tell(table: list[Line], session: Session, header: Header, *, markdown: bool) -> None:
    """Say on standard output what came out."""
    if markdown:
        typer.echo(report.markdown(header, table))
        return
    typer.echo("\n".join(header.lines()))
    _print(table)
    for sentence in report.troubles(header, table):
        typer.echo(sentence)
    if any(line.failed for line in table):
        typer.echo("The same command tries again what failed.")
    if session.results.damaged:
        lines, were = ("line", "was") if session.results.damaged == 1 else ("lines", "were")
        typer.echo(f"{session.results.damaged} damaged {lines} of {LINES} {were} passed over.")
    typer.echo(f"{session.made} edits were made now. The pictures: {session.results.folder / PAGE}")


def _print(table: list[Line]) -> None:
    """The rows that were run; as wide as it has to be where nobody sees the edge of a terminal."""
    from rich.console import Console
    from rich.table import Table

    head, rows = report.shown(table)
    drawn = Table(head[0], box=None, pad_edge=False)
    for heading in head[1:]:
        drawn.add_column(heading, justify="right", no_wrap=not sys.stdout.isatty())
    for cells in rows:
        drawn.add_row(*cells)
    Console(width=None if sys.stdout.isatty() else _WIDE).print(drawn)
