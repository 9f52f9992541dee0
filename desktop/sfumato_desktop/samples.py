"""The bundled samples: pictures with a recipe, and sometimes a mask, to try at once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """A picture and what to ask of it."""

    path: Path
    title: str
    source: str
    target: str
    mask: Path | None = None
    editor: str = ""
    """The method it is for, if not the one that edits begin with."""
    instruction: str = ""
    """The same change for methods that follow instructions."""


def load_samples() -> tuple[Sample, ...]:
    """The samples that came with this installation; none if they were left out."""
    folder = Path(str(files("sfumato_resources").joinpath("samples")))
    try:
        entries = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    return tuple(
        Sample(
            folder / entry["file"],
            entry["title"],
            entry["source"],
            entry["target"],
            folder / entry["mask"] if "mask" in entry else None,
            entry.get("editor", ""),
            entry.get("instruction", ""),
        )
        for entry in entries
        if (folder / entry["file"]).is_file()
    )
