"""`sfumato edit`, `invert` and `generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sfumato import compose
from sfumato.cli import many_options as m
from sfumato.cli import options as o
from sfumato.cli.answers import answering, run
from sfumato.cli.pictures import control_images, open_document, refuse_output, write_error_map, write_results
from sfumato.document.compositor import flatten
from sfumato.document.layers import Document
from sfumato.events import Outcome
from sfumato.files.images import open_mask
from sfumato.method import Job, Recipe
from sfumato.signals import stoppable
from sfumato.workshop import Workshop


def edit(
    ctx: typer.Context,
    pictures: m.Pictures,
    output: m.Results,
    source: o.Source = None,
    target: o.Target = None,
    negative: o.Negative = None,
    instruction: o.Instruction = None,
    weight: o.Weights = None,
    concept: o.Concepts = None,
    inverter: o.Inverter = None,
    method: o.Method = None,
    values: o.Values = None,
    inverter_values: o.InverterValues = None,
    mask: o.MaskFile = None,
    masks: m.Masks = None,
    auto_mask: o.AutoMask = None,
    auto_mask_values: o.AutoMaskValues = None,
    control: o.Controls = None,
    preprocessor: o.Preprocessor = None,
    preprocessor_values: o.PreprocessorValues = None,
    start: o.Start = None,
    steps: o.StepCount = None,
    guidance: o.Guidance = None,
    eta: o.Eta = None,
    solver: o.Solver = None,
    timestep_offset: o.Offset = None,
    encoding: o.Encoding = None,
    seed: o.Seed = None,
    candidates: o.Candidates = None,
    model: o.ModelName = None,
    lora: o.Loras = None,
    embedding: o.Embeddings = None,
    vae: o.Vae = None,
    device: o.Device = None,
    precision: o.Precision = None,
    threads: o.Threads = None,
    recipe: o.RecipeFile = None,
    form: m.Format = None,
    overwrite: m.Overwrite = False,
    processes: m.Processes = None,
    ray: m.Ray = None,
) -> None:
    """Change what a picture shows; outside the mask every pixel stays as it is.

    Several pictures, folders and lists are edited one by one into a folder. A line of a .csv or .jsonl list
    may say what options say, and goes before them. What is there already is not done again.
    """
    with answering():
        if m.is_batch(ctx.params):
            from sfumato.cli.batch import edit_many  # which is made of what is in this module

            with stoppable():
                return edit_many(ctx.params)
        asked, document = o.recipe_of(ctx.params), open_document(pictures[0])
        refuse_output(output)  # after the picture: a folder's name that is mistyped is no picture either
        for note in document.notes:
            typer.echo(note, err=True)
        job, workshop = prepared(asked, document, ctx.params)
        outcome = run(job, workshop)
        _tell(outcome, write_results(document, job, outcome, output))


def invert(
    ctx: typer.Context,
    picture: o.Picture,
    source: o.Source = None,
    inverter: o.Inverter = None,
    method: o.Method = None,
    inverter_values: o.InverterValues = None,
    negative: o.Negative = None,
    mask: o.MaskFile = None,
    steps: o.StepCount = None,
    guidance: o.Guidance = None,
    eta: o.Eta = None,
    solver: o.Solver = None,
    timestep_offset: o.Offset = None,
    encoding: o.Encoding = None,
    seed: o.Seed = None,
    model: o.ModelName = None,
    lora: o.Loras = None,
    embedding: o.Embeddings = None,
    vae: o.Vae = None,
    device: o.Device = None,
    precision: o.Precision = None,
    threads: o.Threads = None,
    recipe: o.RecipeFile = None,
    error_map: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Show as a picture where the inversion is off.")
    ] = None,
) -> None:
    """Invert a picture, say how faithful that is, and keep it: edits of it then start at once."""
    with answering():
        if error_map is not None:
            refuse_output(error_map)
        asked, document = o.recipe_of(ctx.params), open_document(picture)
        job, workshop = prepared(asked, document, ctx.params, "invert")
        outcome = run(job, workshop)
        _tell(outcome, [] if error_map is None else [write_error_map(outcome, error_map)])


def generate(
    ctx: typer.Context,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What the picture should show.")],
    output: o.Output,
    negative: o.Negative = None,
    values: o.Values = None,
    size: o.Size = None,
    steps: o.StepCount = None,
    guidance: o.Guidance = None,
    eta: o.Eta = None,
    solver: o.Solver = None,
    timestep_offset: o.Offset = None,
    encoding: o.Encoding = None,
    seed: o.Seed = None,
    candidates: o.Candidates = None,
    model: o.ModelName = None,
    lora: o.Loras = None,
    embedding: o.Embeddings = None,
    vae: o.Vae = None,
    device: o.Device = None,
    precision: o.Precision = None,
    threads: o.Threads = None,
    recipe: o.RecipeFile = None,
) -> None:
    """Make a new picture from words."""
    with answering():
        refuse_output(output)
        asked = o.recipe_of({**ctx.params, "target": prompt, "method": "generate"})
        workshop = workshop_of(ctx.params)
        job = Job(recipe=o.settled(asked, workshop.registry))
        outcome = run(job, workshop)
        _tell(outcome, write_results(None, job, outcome, output))


def workshop_of(given: dict[str, Any]) -> Workshop:
    """A workshop on the machine that options choose."""
    return compose.workshop(**{name: given[name] for name in o.MACHINE})


def prepared(
    asked: Recipe, document: Document, given: dict[str, Any], task: Any = "edit", *, record: bool = False
) -> tuple[Job, Workshop]:
    """The job that options describe, what they leave open settled, and the workshop to do it in."""
    workshop = workshop_of(given)
    return job_of(o.settled(asked, workshop.registry), document, given, task, record=record), workshop


def job_of(
    recipe: Recipe, document: Document, given: dict[str, Any], task: Any = "edit", *, record: bool = False
) -> Job:
    """The job that a recipe, a document and options describe."""
    size = document.width, document.height
    file = given.get("mask")
    mask = document.mask if file is None else open_mask(file, size)
    return Job(
        recipe=recipe,
        task=task,
        image=flatten(document),
        profile=document.profile,
        mask=mask,
        control_images=control_images(given.get("control")),
        record=record,
    )


def _tell(outcome: Outcome, written: list[Any]) -> None:
    """Say on standard output what came out."""
    if (report := outcome.inversion) is not None:
        quality = "not measured" if report.psnr is None else f"{report.psnr:.1f} dB"
        how = "reused" if report.reused else f"{outcome.rows['inversion']} network rows"
        typer.echo(f"Inversion ({report.inverter}, {report.steps} steps): {quality}; {how}.")
        typer.echo(f"The model's own limit for this picture: {report.vae_psnr:.1f} dB.")
    for note in outcome.notes:
        typer.echo(note)
    if outcome.provenance["mask"] is not None and written:
        typer.echo(f"Outside the mask: {outcome.changed_outside} pixels changed.")
    for path in written:
        typer.echo(f"Wrote {path}")
    typer.echo(f"Done in {outcome.seconds:.1f} s.")
