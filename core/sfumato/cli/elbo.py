"""`sfumato elbo`: how likely the model finds a picture under each of several prompts."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import typer

from sfumato.cli import options as o
from sfumato.cli.answers import answering, follow
from sfumato.cli.edits import prepared
from sfumato.cli.pictures import open_document, refuse_drawing
from sfumato.document.geometry import window
from sfumato.document.region import cut
from sfumato.errors import InputError
from sfumato.files.atomic import write_atomically
from sfumato.files.figures import Panel, enlarged, figure, heat_over, with_legend, write_figure
from sfumato.method import Job
from sfumato.pace import Advance, Phase
from sfumato.scene import region_of, to_tensor
from sfumato.walking import through
from sfumato.workshop import Workshop

if TYPE_CHECKING:
    from sfumato.diffusion.elbo import Elbo

_SIDE = 256


def elbo(
    ctx: typer.Context,
    picture: o.Picture,
    prompt: Annotated[
        list[str] | None, typer.Option("--prompt", help="What it may show; give several to compare.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Every level, not a sample of them.")] = False,
    rows: Annotated[int, typer.Option(min=2, help="Network rows per prompt of a quick look.")] = 100,
    draws: Annotated[int, typer.Option(min=1, help="Noises per level.")] = 1,
    variance: Annotated[
        Literal["posterior", "beta"], typer.Option(help="The reverse process's variance.")
    ] = "posterior",
    curve: Annotated[Path | None, typer.Option(help="Write the terms per level: .csv or .json.")] = None,
    pixels: Annotated[Path | None, typer.Option("--map", help="Write where the nats are: a .png.")] = None,
    numbers: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    seed: o.Seed = None,
    model: o.ModelName = None,
    device: o.Device = None,
    precision: o.Precision = None,
    threads: o.Threads = None,
) -> None:
    """Bound how unlikely a picture is to the model, in nats: three terms, lower is likelier.

    All prompts see the same noise at the same levels, so that their differences mean more than their sums.
    """
    with answering():
        if curve is not None and curve.suffix.lower() not in (".csv", ".json"):
            raise InputError(f"The curve cannot be written as '{curve.name}'.", advice="Use .csv or .json.")
        if pixels is not None:
            refuse_drawing(pixels)
        asked = o.recipe_of(ctx.params)
        job, workshop = prepared(asked, open_document(picture), ctx.params)
        prompts = tuple(dict.fromkeys(prompt or [""]))
        how = {"rows": None if full else rows, "draws": draws, "seed": asked.seed, "variance": variance}
        results = follow(_measured(job, prompts, workshop, how), job)
        if curve is not None:
            _write_curve(results, curve)
        if pixels is not None:
            write_figure(_map_figure(job, results, workshop), pixels)
        _tell(results, how, numbers)


def _measured(
    job: Job, prompts: tuple[str, ...], workshop: Workshop, how: Mapping[str, Any]
) -> Generator[Advance, None, dict[str, Elbo]]:
    from sfumato.diffusion.elbo import elbo as bound
    from sfumato.diffusion.elbo import of_prompts

    plan: tuple[tuple[Phase, int], ...] = ("loading", 6), ("edit", how["rows"] or 1000)
    model = yield from through(workshop.load(job.recipe.model), plan)
    assert job.image is not None
    x0 = model.encode(to_tensor(cut(job.image, job.profile, region_of(job, model)), model))
    steps = bound(of_prompts(model, prompts), x0, model.schedule, **how)
    return (yield from through(steps, plan[1:]))


def _tell(results: Mapping[str, Elbo], how: Mapping[str, Any], numbers: bool) -> None:
    ranked = sorted(results.items(), key=lambda entry: entry[1].total)
    if numbers:
        typer.echo(json.dumps({prompt: _as_json(result) for prompt, result in ranked}))
        return
    typer.echo(f"{'nats':>12}{'bits/dim':>10}{'prior':>10}{'score':>12}{'reconstr.':>12}  prompt")
    best = ranked[0][1].total
    for prompt, result in ranked:
        behind = f"  (+{result.total - best:.1f} nats)" if result.total > best else ""
        bits = result.bits_per_dimension(result.total)
        typer.echo(
            f"{result.total:12.1f}{bits:10.4f}{result.prior:10.2f}{result.score:12.1f}"
            f"{result.reconstruction:12.1f}  {prompt or '(no words)'}{behind}"
        )
    rows = len(ranked[0][1].curve) + 1
    typer.echo(f"Latent ELBO, a density: only differences count. {rows * how['draws']} rows per prompt.")


def _as_json(result: Elbo) -> dict[str, Any]:
    terms = {name: getattr(result, name) for name in ("total", "prior", "score", "reconstruction")}
    return {
        "nats": terms,
        "bits_per_dimension": {name: result.bits_per_dimension(nats) for name, nats in terms.items()},
        "dimensions": result.dimensions,
        "curve": [vars(point) for point in result.curve],
        "per_cell": result.per_cell.tolist(),
    }


def _write_curve(results: Mapping[str, Elbo], path: Path) -> None:
    if path.suffix.lower() == ".json":
        text = json.dumps({prompt: _as_json(result) for prompt, result in results.items()})
    else:
        lines = io.StringIO()
        table = csv.writer(lines)
        table.writerow(["prompt", "level", "nats", "error", "weight"])
        for prompt, result in results.items():
            table.writerows([prompt, p.level, p.nats, p.error, p.weight] for p in result.curve)
        text = lines.getvalue()
    with write_atomically(path) as file:
        file.write(text.encode())
    typer.echo(f"Wrote {path}", err=True)


def _map_figure(job: Job, results: Mapping[str, Elbo], workshop: Workshop) -> Any:
    """Nats per latent cell; each prompt's legend is its own."""
    model = workshop.model
    assert model is not None
    assert job.image is not None
    seen = enlarged(job.image[window(region_of(job, model).box)], _SIDE)
    panels = []
    for prompt, result in results.items():
        cells = result.per_cell.cpu().numpy()
        legend = with_legend(heat_over(cells, seen), float(np.min(cells)), float(np.max(cells)), " nats")
        panels.append(Panel(legend, prompt or "(no words)", f"{result.total:.1f} nats"))
    return figure([("Where the nats are", panels)], side=max(panels[0].picture.shape))
