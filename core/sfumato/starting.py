"""What a recipe for a model and an editor starts with: one answer for the window and the command line."""

from __future__ import annotations

from typing import Any

from sfumato.events import Defaults, ModelInfo
from sfumato.method import MethodInfo, Recipe
from sfumato.params import Value
from sfumato.settings import ModelDefaults


def starting(info: ModelInfo | None, editor: str, chosen: ModelDefaults | None = None) -> dict[str, Any]:
    """Steps, guidance and solver: as the person chose, else as the model was made for.

    The size is there if the person chose one, the way to invert if the model wishes for one.
    A model that is not known yet is taken for one without wishes of its own.
    """
    own = Defaults() if info is None else info.defaults
    found: dict[str, Any] = {"steps": own.steps, "guidance": own.guidance, "solver": own.solver}
    wishes = own.editors.get(editor, {})
    found |= {name: wishes[name] for name in ("guidance", "inverter") if name in wishes}
    return found if chosen is None else found | chosen.model_dump(exclude_none=True)


def starting_inverter(info: ModelInfo | None, editor: str) -> str:
    """The way to invert that suits an editor with this model; the usual one if it does not say."""
    return str(starting(info, editor).get("inverter", Recipe().inverter))


def starting_values(info: ModelInfo | None, editor: MethodInfo) -> dict[str, Value]:
    """The editor's parameters that are better otherwise with this model, as far as it has them."""
    wishes = {} if info is None else info.defaults.editors.get(editor.name, {})
    return {control.name: wishes[control.name] for control in editor.controls if control.name in wishes}
