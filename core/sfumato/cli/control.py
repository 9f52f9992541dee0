"""`sfumato control`: a control image made of a picture."""

from __future__ import annotations

import typer

from sfumato import compose
from sfumato.cli import options as o
from sfumato.cli.answers import answering, run
from sfumato.cli.pictures import open_document, refuse_output
from sfumato.document.compositor import flatten
from sfumato.document.layers import Document, Layer
from sfumato.errors import InputError
from sfumato.files.images import FORMAT_OF, export_image
from sfumato.method import Job


def control(
    picture: o.Picture,
    output: o.Output,
    preprocessor: o.Preprocessor = None,
    values: o.Values = None,
) -> None:
    """Make a control image of a picture: its edges, a scribble, areas of one colour."""
    with answering():
        refuse_output(output)
        if output.suffix.lower() not in FORMAT_OF:
            raise InputError("A control image is written as a picture: end the name in .png.")
        asked = o.recipe_of({"preprocessor": preprocessor, "preprocessor_values": values})
        document, workshop = open_document(picture), compose.workshop()
        job = Job(recipe=asked, task="control", image=flatten(document), profile=document.profile)
        patch = run(job, workshop).patches[0]
        export_image(Document(document.width, document.height, [Layer("control", patch)]), output)
        typer.echo(f"Wrote {output}")
