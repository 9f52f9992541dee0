"""Checkpoints by name, and where on disk they are. No weights are read here, and torch is not needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Checkpoint:
    """A diffusers folder under a name that recipes can keep."""

    name: str
    """Goes into files and never changes."""
    title: str
    folder: Path
    note: str = ""
    """One line for people: what it can draw, under which licence."""


def from_folder(folder: Path) -> Checkpoint:
    """A checkpoint a person pointed at; its path is its name, so that recipes find it again."""
    return Checkpoint(name=str(folder), title=folder.name or str(folder), folder=folder)
