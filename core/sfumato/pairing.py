"""What works with what, decided from plain data before anything is run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sfumato.errors import MethodError
from sfumato.events import ModelInfo
from sfumato.method import MethodInfo, Need


class PairingError(MethodError):
    """Asked for something that cannot work; nothing was run."""


@dataclass(frozen=True)
class Facts:
    """What there is to work with."""

    has_image: bool
    has_mask: bool
    """One was painted, or something is chosen that will make one."""
    controls: frozenset[str] = frozenset()
    source: str = ""
    target: str = ""
    instruction: str = ""
    concepts: bool = False
    weights_differ: bool = False
    """Some word weight is not 1."""
    mask_empty: bool = False
    """There is a mask, and it lets nothing change."""

    @property
    def asks_for_nothing(self) -> bool:
        """Equal prompts and no weight: what runs by prompts alone is a reconstruction."""
        return self.source.split() == self.target.split() and not self.weights_differ

    def has(self, need: Need) -> bool:
        """Whether a need is met."""
        return {
            Need.IMAGE: self.has_image,
            Need.SOURCE_PROMPT: bool(self.source.strip()),
            Need.TARGET_PROMPT: bool(self.target.strip()),
            Need.INSTRUCTION: bool(self.instruction.strip()),
            Need.MASK: self.has_mask,
            Need.CONTROL_IMAGE: bool(self.controls) or self.has_image,
            Need.CONCEPTS: self.concepts,
        }[need]


_HOW = {
    Need.IMAGE: "open one",
    Need.SOURCE_PROMPT: "say what the picture shows",
    Need.TARGET_PROMPT: "say what it should show",
    Need.INSTRUCTION: "say what to do",
    Need.MASK: "paint over what may change",
    Need.CONTROL_IMAGE: "choose one, or open a picture to make one of",
    Need.CONCEPTS: "name it, with how strongly",
}


def able(method: MethodInfo, model: ModelInfo) -> bool:
    """Whether a model has all that a method needs of one."""
    return method.abilities <= model.abilities


def refusal(
    editor: MethodInfo, inverter: MethodInfo | None, model: ModelInfo | None, *, facts: Facts
) -> str | None:
    """Return one sentence that names what is missing, or None if the edit can run."""
    if editor.inversion == "none":
        inverter = None
    return next(_reasons(editor, inverter, model, facts), None)


def _reasons(
    editor: MethodInfo, inverter: MethodInfo | None, model: ModelInfo | None, facts: Facts
) -> Iterator[str]:
    if editor.kind != "editor":
        yield f"{editor.title} is not an editing method."
    if editor.inversion == "required" and inverter is None:
        yield f"{editor.title} starts from an inversion: choose a way to invert the picture."
    if inverter is not None and inverter.kind != "inverter":
        yield f"{inverter.title} does not invert pictures."
    for method in (editor, inverter):
        if method is not None:
            yield from _missing(method, model, facts)
    if facts.has_mask and facts.mask_empty:
        yield "The mask lets nothing change: paint over what may change, or clear the mask."


def _missing(method: MethodInfo, model: ModelInfo | None, facts: Facts) -> Iterator[str]:
    """What only another model can change comes first: nobody should write an instruction for nothing."""
    if model is not None:
        for ability in sorted(method.abilities - model.abilities):
            yield f"{method.title} needs a model {ability.value}; {model.title} is not one."
    needs = method.needs | (set() if method.kind == "editor" else {Need.IMAGE})
    for need in Need:
        if need in needs and not facts.has(need):
            yield f"{method.title} needs {need.value}: {_HOW[need]}."


def inversion_refusal(inverter: MethodInfo, model: ModelInfo | None, *, facts: Facts) -> str | None:
    """The same for a run that only inverts."""
    return next(_missing(inverter, model, facts), None)


def mask_refusal(masker: MethodInfo, model: ModelInfo | None, *, facts: Facts) -> str | None:
    """The same for a mask that is to be made."""
    return next(_missing(masker, model, facts), None)
