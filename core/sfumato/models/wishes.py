"""What a model's folder says recipes should start with: an optional `sfumato.json` of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sfumato.errors import ModelError
from sfumato.events import Defaults
from sfumato.method import Solver
from sfumato.params import Value, explain

FILE = "sfumato.json"


class Wishes(BaseModel):
    """The file's content; what is left out is decided by the model's family."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    steps: int | None = Field(default=None, ge=1, le=1000)
    guidance: float | None = Field(default=None, ge=0, le=50)
    solver: Solver | None = None
    editors: dict[str, dict[str, Value]] = Field(default_factory=dict)
    """By an editor's name: a "guidance" and an "inverter" of its own, and values of its parameters."""


def read_wishes(content: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """The wishes of a file, checked. Raises `ModelError` where they cannot be."""
    try:
        return Wishes.model_validate(content).model_dump(exclude_none=True)
    except ValidationError as error:
        raise ModelError(explain(error, f"{FILE} of {root}", tuple(Wishes.model_fields))) from error


def granted(defaults: Defaults, wishes: Mapping[str, Any]) -> Defaults:
    """The family's defaults with the wishes in their place."""
    return replace(defaults, **wishes)
