"""Sets of cases that plugins bring, by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CaseSet:
    """A folder of cases under a name for the command line."""

    name: str
    title: str
    folder: Path
    judge: Path | None = None
    """The folder of the network that reads attributes in pictures of this world, if there is one."""
