"""`sfumato bench`: what edits cost in row evaluations, and in time beyond them, and how good they are."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from sfumato import compose
from sfumato.cli import options as o
from sfumato.cli.answers import FAILURE, answering, run
from sfumato.cli.bench_edits import edits
from sfumato.costs import Line, measured
from sfumato.events import Cost
from sfumato.method import Recipe
from sfumato.workshop import Workshop

bench = typer.Typer(
    help="Measure what edits cost, and how good they are.", rich_markup_mode=None, no_args_is_help=True
)

bench.command()(edits)

FULL = 50
"""The steps at which the bounds are known."""
MOST_BESIDE = 1.02
"""Goal: a whole edit over its network's forwards and the VAE's passes."""
MOST_CONTROL = 1.10
"""Goal: Prompt-to-Prompt's forwards over plain ones."""

_WIDE = 46
"""Room for the longest figure: rows forward and backward, what is allowed, and that for all steps."""


@bench.command()
def cost(
    model: o.ModelName = None,
    steps: Annotated[int, typer.Option(min=1, help="Denoising steps; bounds grow with them.")] = FULL,
    device: o.Device = None,
    precision: o.Precision = None,
    threads: o.Threads = None,
) -> None:
    """Count the rows of every pairing of inverter and editor, beside the most it may cost.

    E = a row forward, G = a row backward, C = a row of a control network. Exit code 1 if one is above its
    bound, or if a second edit inverts anything.
    """
    with answering(), _workshop(device, precision, threads) as workshop:
        typer.echo(f"{steps} steps; in brackets what is allowed, and what that is for {FULL} steps")
        typer.echo(f"{'inverter':<17}{'editor':<20}{'inversion':<{_WIDE}}{'edit':<{_WIDE}}{'second':<8}")
        lines = []
        for line in measured(workshop, model or Recipe().model, steps, run):
            typer.echo(_row(line))
            lines.append(line)
        over = [line for line in lines if not line.refusal and not line.holds]
        ran = sum(not line.refusal for line in lines)
        typer.echo(
            f"{ran} pairings ran, {len(lines) - ran} not on this model, {len(over)} above their bound."
        )
        if over:
            raise typer.Exit(FAILURE)


def _row(line: Line) -> str:
    names = f"{line.inverter or '-':<17}{line.editor:<20}"
    if line.refusal:
        return f"{names}not on this model: {line.refusal}"
    told = zip((line.inversion, line.edit), line.bound, line.bound_at(FULL), strict=True)
    columns = "".join(f"{_shown(cost, bound, full):<{_WIDE}}" for cost, bound, full in told)
    return f"{names}{columns}{_rows(line.second):<8}{'ok' if line.holds else 'ABOVE'}"


def _shown(cost: Cost, bound: Cost | None, full: Cost | None) -> str:
    if bound is None or full is None:
        return f"{_rows(cost)} (no bound)"
    return f"{_rows(cost)} ({_rows(bound)}; {_rows(full)})"


def _rows(cost: Cost) -> str:
    parts = [f"{cost.forward} E"]
    parts += [f"{cost.backward} G"] if cost.backward else []
    parts += [f"{cost.control} C"] if cost.control else []
    return " + ".join(parts)


@bench.command(name="time")
def seconds(
    model: o.ModelName = None,
    steps: Annotated[int, typer.Option(min=2, help="Denoising steps.")] = FULL,
    runs: Annotated[int, typer.Option(min=1, help="How often; the median counts.")] = 5,
    device: o.Device = None,
    precision: o.Precision = None,
    threads: o.Threads = None,
) -> None:
    """Compare the time of a Prompt-to-Prompt edit with that of its network, and that with a plain network's.

    Ratios within the same runs, so that a busy machine slows both sides. Exit code 1 above a goal.
    """
    from sfumato.diffusion.timing import time_edit

    with answering(), _workshop(device, precision, threads) as workshop:
        found = [time_edit(workshop, model or Recipe().model, steps, run) for _ in range(runs + 1)][1:]
        beside, control = median(each.beside for each in found), median(each.control for each in found)
        typer.echo(f"edit / (forwards + VAE passes): {beside:.4f} (goal <= {MOST_BESIDE:.2f})")
        typer.echo(f"Prompt-to-Prompt's / plain forwards: {control:.4f} (goal <= {MOST_CONTROL:.2f})")
        typer.echo(f"Medians of {runs} runs of {steps} steps, after one to warm up.")
        if beside > MOST_BESIDE or control > MOST_CONTROL:
            raise typer.Exit(FAILURE)


@contextmanager
def _workshop(device: str | None, precision: str | None, threads: int | None) -> Iterator[Workshop]:
    """A workshop whose inversions are kept in a folder of their own and forgotten."""
    workshop = compose.workshop(device=device, precision=precision, threads=threads)
    with tempfile.TemporaryDirectory(prefix="sfumato-bench-") as folder:
        workshop.store = type(workshop.store)(Path(folder), workshop.settings.store_limit_bytes)
        yield workshop
