"""`sfumato sweep`: naive against DDIM inversion over the amount of noise, or over η, in one strip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from math import log10
from typing import Annotated, Any

import numpy as np
import typer

from sfumato.cli import many_options as m
from sfumato.cli import options as o
from sfumato.cli.answers import answering, counting
from sfumato.cli.attention import Figure
from sfumato.cli.edits import job_of, workshop_of
from sfumato.cli.pictures import open_document, refuse_drawing
from sfumato.document.compositor import flatten
from sfumato.document.layers import Document, Layer
from sfumato.errors import InputError, SfumatoError
from sfumato.files.figures import Panel, figure, write_figure
from sfumato.many.alike import demand, methods_digest
from sfumato.many.crew import Crew
from sfumato.many.spreading import spread
from sfumato.many.worker import Failed
from sfumato.method import Job, Pixels
from sfumato.order import check
from sfumato.perform import perform
from sfumato.walking import finished, stepped
from sfumato.workshop import Workshop

sweep = typer.Typer(
    help="Compare adding noise with inverting, as a strip.", rich_markup_mode=None, no_args_is_help=True
)

_ROWS = (("naive", "Noise added"), ("ddim", "DDIM inversion"))
_SIDE = 144
Amounts = Annotated[str, typer.Option(metavar="A,B,...", help="The values to show, separated by commas.")]


@sweep.command()
def strength(
    ctx: typer.Context,
    picture: o.Picture,
    output: Figure,
    source: o.Source = None,
    target: o.Target = None,
    amounts: Amounts = "0.2,0.4,0.6,0.8,1",
    negative: o.Negative = None,
    steps: o.StepCount = None,
    guidance: o.Guidance = None,
    eta: o.Eta = None,
    seed: o.Seed = None,
    model: o.ModelName = None,
    device: o.Device = None,
    precision: o.Precision = None,
    threads: o.Threads = None,
    processes: m.Processes = None,
    ray: m.Ray = None,
) -> None:
    """Go so far into noise and come back: by adding noise, and by DDIM inversion. PSNR under each picture.

    Without --target the way back is under --source, and a good inversion gives the picture again.
    """
    with answering():
        shares = _shares(amounts)
        if 0 in shares:
            raise InputError("At strength 0 not one step is run.", advice="Leave it out.")
        _sweep(ctx.params, [(f"strength {share:g}", {"start": round(1 - share, 9)}) for share in shares])


@sweep.command()
def eta(
    ctx: typer.Context,
    picture: o.Picture,
    output: Figure,
    source: o.Source = None,
    target: o.Target = None,
    amounts: Amounts = "0,0.25,0.5,0.75,1",
    negative: o.Negative = None,
    start: o.Start = None,
    steps: o.StepCount = None,
    guidance: o.Guidance = None,
    seed: o.Seed = None,
    model: o.ModelName = None,
    device: o.Device = None,
    precision: o.Precision = None,
    threads: o.Threads = None,
    processes: m.Processes = None,
    ray: m.Ray = None,
) -> None:
    """Come back with fresh noise in every step: none (eta 0, DDIM) to as much as in training (1, DDPM)."""
    with answering():
        _sweep(ctx.params, [(f"eta {share:g}", {"eta": share}) for share in _shares(amounts)])


def _sweep(given: dict[str, Any], columns: Sequence[tuple[str, dict[str, float]]]) -> None:
    """One row of pictures per way to invert; `columns` = (caption, what it changes of the recipe)."""
    output, target = given["output"], given["target"] or given["source"]
    refuse_drawing(output)
    document = open_document(given["picture"])
    asked = o.recipe_of({**given, "target": target, "method": "reprompt"})
    crew, workshop, original = m.crew_of(given), workshop_of(given), flatten(document)
    jobs = {}
    for inverter, _ in _ROWS:
        for caption, change in columns:
            recipe = asked.model_copy(update={**change, "inverter": inverter, "inverter_values": {}})
            job = job_of(o.settled(recipe, workshop.registry), document, given)
            check(job, workshop)
            jobs[f"{inverter}, {caption}"] = job
    made, rows = _all_made(jobs, crew, workshop), []
    for inverter, title in _ROWS:
        panels = [Panel(original, "the picture")]
        for caption, _ in columns:
            edited = Layer("edit", *made[f"{inverter}, {caption}"])
            whole = flatten(Document(document.width, document.height, [*document.layers, edited]))
            panels.append(Panel(whole, caption, _psnr(whole, original)))
        rows.append((f"{title}: {asked.source or 'no words'} > {target or 'no words'}", panels))
    write_figure(figure(rows, side=_SIDE), output)
    typer.echo(f"Wrote {output}")


_Placed = tuple[Pixels, int, int]
"""What was made, and where in the document: left, top."""


def made_of(task: tuple[Job, str], workshop: Workshop) -> tuple[_Placed, str]:
    """One picture of a strip, in whatever process, and why it is smaller if it is. Raises `SfumatoError`.

    The task is a job and the `methods_digest` that whoever does it must have.
    """
    job, methods = task
    demand(methods, job.recipe, workshop.registry)
    outcome = finished(stepped(perform(job, workshop)))
    return (outcome.patches[0], *outcome.box[:2]), outcome.provenance.get("smaller", "")


def _all_made(jobs: Mapping[str, Job], crew: Crew, workshop: Workshop) -> dict[str, _Placed]:
    """Raises `SfumatoError` for the first that fails: a strip with a hole in it compares nothing."""
    made = {}
    tasks = {key: (job, methods_digest(job.recipe, workshop.registry)) for key, job in jobs.items()}
    with closing(spread(tasks, made_of, crew, here=workshop)) as outcomes, counting(len(jobs)) as count:
        for outcome in outcomes:
            if isinstance(outcome, Failed):
                failure = SfumatoError(f"{outcome.key}: {outcome.sentence}")
                failure.details = outcome.details
                raise failure
            made[outcome.key], smaller = outcome.result
            if smaller:
                typer.echo(f"{outcome.key}: {smaller}", err=True)
            count()
    return made


def _shares(text: str) -> list[float]:
    """Read "0.2,0.4". Raises `InputError`."""
    try:
        shares = [float(part) for part in text.split(",")]
    except ValueError:
        shares = [-1.0]
    if not all(0 <= share <= 1 for share in shares):
        raise InputError(f"'{text}' is not a list of numbers from 0 to 1, such as 0.2,0.5,1.")
    return shares


def _psnr(made: Pixels, original: Pixels) -> str:
    error = float(np.mean((made[..., :3].astype(np.float64) - original[..., :3]) ** 2))
    return "identical" if error == 0 else f"{10 * log10(255**2 / error):.1f} dB"
