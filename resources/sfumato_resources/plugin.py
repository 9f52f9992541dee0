"""Brings the starter model in by the same door as anybody else's checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from sfumato.hookspecs import hookimpl
from sfumato.models.catalogue import Checkpoint


@hookimpl
def register_models() -> Sequence[Checkpoint]:
    """The small model inside the package; see its MODEL_CARD.md."""
    folder = Path(str(files("sfumato_resources"))) / "starter"
    note = "52 objects in one toy-like style, 128 pixels; made to try every method offline."
    return [Checkpoint(name="starter", title="Starter (built in)", folder=folder, note=note)]
