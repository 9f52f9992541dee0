"""Checkpoints by name, and where on disk they are. No weights are read here, and torch is not needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

SINGLE_FILE = ".safetensors"
"""How a checkpoint that is one file ends."""


@dataclass(frozen=True)
class Checkpoint:
    """A diffusers folder or a single file under a name that recipes can keep."""

    name: str
    """Goes into files and never changes."""
    title: str
    folder: Path
    """The folder, or the file where `kind` says so."""
    note: str = ""
    """One line for people: what it can draw, under which licence."""
    kind: Literal["folder", "file"] = "folder"


def from_folder(folder: Path) -> Checkpoint:
    """A checkpoint a person pointed at; its path is its name, so that recipes find it again."""
    return Checkpoint(name=str(folder), title=folder.name or str(folder), folder=folder)


def from_path(path: Path) -> Checkpoint:
    """The folder or the single file at a path, whichever its name says; it need not be there."""
    if path.suffix.lower() == SINGLE_FILE:
        return Checkpoint(name=str(path), title=path.stem, folder=path, kind="file")
    return from_folder(path)
