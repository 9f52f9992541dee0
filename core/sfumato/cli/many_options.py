"""The options of commands that do much at once, and who does it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from sfumato import compose
from sfumato.cli import options as o
from sfumato.cli.lists import is_many
from sfumato.many.crew import Crew

Pictures = Annotated[
    list[Path],
    typer.Argument(
        metavar="IN",
        help="A picture or an .ora project; or several, folders, and lists: .txt, .csv or .jsonl.",
    ),
]
Results = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        help="Where to write: .png, .jpg, .webp, .tif or .ora; of several pictures, a folder.",
    ),
]
Masks = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Masks called like the pictures, of many.")
]
Format = Annotated[
    str | None,
    typer.Option("--format", metavar="ENDING", help="png, jpg, webp, tif or ora, of many; else their own."),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Of many: write over what is there and is something else.")
]
Processes = Annotated[
    int | None, typer.Option(metavar="N", help="So many at once, in processes that share the processors.")
]
Ray = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Run on a Ray cluster: local, auto, HOST:PORT or ray://HOST:10001."),
]


def is_batch(given: Mapping[str, Any]) -> bool:
    """Whether the arguments of `sfumato edit` ask for a folder of results rather than for one picture."""
    said = any(given[name] is not None for name in ("masks", "form", "processes", "ray"))
    return said or is_many(given["pictures"]) or given["output"].is_dir()


def crew_of(given: Mapping[str, Any]) -> Crew:
    """Who does the work, as options say. Raises `InputError` for a value that cannot be."""
    settings = compose.chosen(**{name: given.get(name) for name in o.MACHINE})
    choices = {"device": settings.device, "precision": settings.precision, "threads": given.get("threads")}
    return Crew(processes=given.get("processes") or 0, ray=given.get("ray") or "", choices=choices)
