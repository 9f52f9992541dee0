"""Checkpoints by name, and where on disk they are. No weights are read here, and torch is not needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sfumato.method import Recipe

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


@dataclass(frozen=True)
class Additions:
    """What a recipe puts on top of a checkpoint: paths of files, by what they are."""

    loras: tuple[tuple[str, float], ...] = ()
    """With the strength of each; 1 is what its maker meant."""
    embeddings: tuple[str, ...] = ()
    vae: str = ""

    @classmethod
    def of(cls, recipe: Recipe) -> Additions:
        """Those of a recipe; a LoRA of strength 0 is none."""
        loras = tuple((path, strength) for path, strength in recipe.loras if strength)
        return cls(loras, recipe.embeddings, recipe.vae)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file and folder of them."""
        named = (*(path for path, _ in self.loras), *self.embeddings, *((self.vae,) if self.vae else ()))
        return tuple(Path(path).expanduser() for path in named)

    def __bool__(self) -> bool:
        return bool(self.paths)
