"""Sfumato's engine as a library: describe an edit, perform it, keep it. Importing this imports no torch."""

from sfumato.errors import InputError, MemoryShortage, MethodError, ModelError, SfumatoError, StorageError
from sfumato.events import (
    Advanced,
    Broken,
    Cancelled,
    Event,
    Failed,
    Finished,
    InversionReport,
    ModelInfo,
    Outcome,
    Ready,
    Started,
)
from sfumato.hookspecs import hookimpl
from sfumato.method import (
    Ability,
    Edit,
    Editor,
    EditRequest,
    Inverter,
    Job,
    MethodInfo,
    Need,
    Progress,
    Recipe,
)
from sfumato.params import Control, Hint, Params

__all__ = [
    "Ability",
    "Advanced",
    "Broken",
    "Cancelled",
    "Control",
    "Edit",
    "EditRequest",
    "Editor",
    "Event",
    "Failed",
    "Finished",
    "Hint",
    "InputError",
    "InversionReport",
    "Inverter",
    "Job",
    "MemoryShortage",
    "MethodError",
    "MethodInfo",
    "ModelError",
    "ModelInfo",
    "Need",
    "Outcome",
    "Params",
    "Progress",
    "Ready",
    "Recipe",
    "SfumatoError",
    "Started",
    "StorageError",
    "hookimpl",
]
