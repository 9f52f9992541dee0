"""Brings the starter model, its siblings and the editing cases in by the same door as anybody else's."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from sfumato.benchmark.sets import CaseSet
from sfumato.hookspecs import hookimpl
from sfumato.models.catalogue import Checkpoint

_HERE = Path(str(files("sfumato_resources")))
_SIBLINGS = {
    "starter_instruct": ("Starter, instructed (built in)", "Does what it is told; the starter's world."),
    "starter_control": ("Starter's ControlNet for edges (built in)", "Paints along edges; the starter's."),
    "starter_turbo": ("Starter in four steps (built in)", "The starter's world, for quick tries."),
}


@hookimpl
def register_models() -> Sequence[Checkpoint]:
    """The small model inside the package, and those made from it; see each one's MODEL_CARD.md."""
    note = "117 objects in one toy-like style, 128 pixels; made to try every method offline."
    starter = Checkpoint(name="starter", title="Starter (built in)", folder=_HERE / "starter", note=note)
    siblings = [
        Checkpoint(name=name, title=title, folder=_HERE / name, note=about)
        for name, (title, about) in _SIBLINGS.items()
        if (_HERE / name).is_dir()
    ]
    return [starter, *siblings]


@hookimpl
def register_cases() -> Sequence[CaseSet]:
    """300 changes in the starter's world with their true results; see its README.md."""
    folder, judge = _HERE / "edit_cases", _HERE / "judge"
    title = "The starter's world: 300 changes with their true results"
    return [CaseSet("world", title, folder, judge if judge.is_dir() else None)]
