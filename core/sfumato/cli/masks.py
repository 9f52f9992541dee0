"""`sfumato mask`: a mask found by a method, as a picture."""

from __future__ import annotations

from typing import Annotated

import typer

from sfumato.cli import options as o
from sfumato.cli.answers import answering, run
from sfumato.cli.attention import Figure
from sfumato.cli.edits import prepared
from sfumato.cli.pictures import open_document, refuse_drawing
from sfumato.files.figures import write_figure


def mask(
    ctx: typer.Context,
    picture: o.Picture,
    output: Figure,
    method: Annotated[str, typer.Option(help="How to find the mask; see `sfumato methods`.")] = "word_mask",
    word: Annotated[
        list[str] | None, typer.Option("--word", help="What to mark, for methods that take words.")
    ] = None,
    source: o.Source = None,
    target: o.Target = None,
    values: o.Values = None,
    steps: o.StepCount = None,
    seed: o.Seed = None,
    model: o.ModelName = None,
    device: o.Device = None,
    precision: o.Precision = None,
    threads: o.Threads = None,
) -> None:
    """Find where a picture should change, and write it as a mask: white may change, black must not."""
    with answering():
        refuse_drawing(output)
        told = [*(values or ()), *([f"word={' '.join(word)}"] if word else ())]
        asked = o.recipe_of(
            {**ctx.params, "method": None, "values": None, "auto_mask": method, "auto_mask_values": told}
        )
        job, workshop = prepared(asked, open_document(picture), ctx.params, "mask")
        outcome = run(job, workshop)
        found = outcome.mask
        assert found is not None
        write_figure(found, output)
        typer.echo(f"{100 * (found > 127).mean():.1f} % of the picture; {outcome.rows['mask']} network rows.")
        typer.echo(f"Wrote {output}")
