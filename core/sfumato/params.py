"""Declare a method's parameters once; its form, command-line flags and file format follow.

class P2PParams(Params):
    cross_steps: Annotated[float, Field(ge=0, le=1), Hint("Cross-attention", unit="share of steps")] = 0.8
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from sfumato.errors import InputError

ControlKind = Literal["number", "integer", "flag", "choice", "text"]
Suggestion = Literal["", "networks"]
Value = bool | int | float | str


class Params(BaseModel):
    """Base of every method's parameters: immutable, typed, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


P = TypeVar("P", bound=Params)


@dataclass(frozen=True)
class Hint:
    """How a parameter is shown: label, unit, step of its spin box, and whether it is folded away.

    A text may suggest what there is: "networks" the ControlNets that are known.
    """

    label: str
    unit: str = ""
    step: float | None = None
    advanced: bool = False
    suggests: Suggestion = ""


@dataclass(frozen=True)
class Control:
    """One control of a generated form; plain data, so it crosses threads and processes."""

    name: str
    kind: ControlKind
    label: str
    help: str
    default: Value
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    """All there are; of a text, what is suggested."""
    advanced: bool = False
    suggests: Suggestion = ""


def controls(params: type[Params]) -> tuple[Control, ...]:
    """Return the controls of a parameter class, in order of declaration.

    Raises `TypeError` if a field has no default, no docstring, or a type no control can show.
    """
    return tuple(_control(params, name, field) for name, field in params.model_fields.items())


def _control(params: type[Params], name: str, field: FieldInfo) -> Control:
    where = f"{params.__name__}.{name}"
    if field.is_required() or not field.description:
        raise TypeError(f"{where} needs a default and a docstring")
    kind, choices = _kind(field.annotation, where)
    hint = next((m for m in field.metadata if isinstance(m, Hint)), Hint(name.replace("_", " ").capitalize()))
    low, high = _bound(field, ("ge", "gt")), _bound(field, ("le", "lt"))
    if kind in ("number", "integer") and (low is None or high is None):
        raise TypeError(f"{where} needs a lower and an upper bound")
    default = field.default.value if isinstance(field.default, Enum) else field.default
    step = hint.step if hint.step is not None else (1 if kind == "integer" else 0.05)
    return Control(
        name=name,
        kind=kind,
        label=hint.label,
        help=" ".join(field.description.split()),
        default=default,
        unit=hint.unit,
        minimum=low,
        maximum=high,
        step=step if kind in ("number", "integer") else None,
        choices=choices,
        advanced=hint.advanced,
        suggests=hint.suggests if kind == "text" else "",
    )


def _kind(annotation: Any, where: str) -> tuple[ControlKind, tuple[str, ...]]:
    if get_origin(annotation) is Literal:
        return "choice", tuple(str(choice) for choice in get_args(annotation))
    kinds: dict[Any, ControlKind] = {bool: "flag", int: "integer", float: "number", str: "text"}
    if annotation not in kinds:
        raise TypeError(f"{where}: no control shows {annotation}; use bool, int, float, str or Literal[...]")
    return kinds[annotation], ()


def _bound(field: FieldInfo, names: tuple[str, ...]) -> float | None:
    found = (getattr(mark, name, None) for mark in field.metadata for name in names)
    return next((value for value in found if value is not None), None)


def parse(params: type[P], values: Mapping[str, Any], owner: str) -> P:
    """Build `params` from plain values (texts from a command line are converted).

    Raises `InputError` in one sentence that names the parameter, what was given, and what is allowed.
    """
    try:
        return params.model_validate(dict(values))
    except ValidationError as error:
        raise InputError(explain(error, owner, tuple(params.model_fields))) from error


def explain(error: ValidationError, owner: str, known: tuple[str, ...] = ()) -> str:
    """Turn pydantic's first complaint into a sentence for people."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"]) or "value"
    if first["type"] == "extra_forbidden":
        return f"{owner} has no parameter '{name}'; it has {', '.join(known) or 'none'}."
    reason = first["msg"][:1].lower() + first["msg"][1:]
    return f"{owner}: '{name}' cannot be {first['input']!r}: {reason}."
