"""What a table was made with and of, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Header:
    """What a table was made with and of."""

    model: str
    machine: str
    cases: int
    settings: str
    networks: Mapping[str, str] = field(default_factory=dict)
    """By what they measure."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Cases that could not be read, and why."""
    decoded: tuple[str, ...] = ()
    """The rows that are of what the model decodes."""
    finished: tuple[str, ...] = ()
    """The rows that are of finished pictures."""
    processors: Mapping[str, int] = field(default_factory=dict)
    """What computed the edits, and how many each."""
    expecting: int = 0
    """Cases that say which attributes a reader must see."""
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Other models, and the rows that are theirs."""

    def lines(self) -> list[str]:
        """In sentences."""
        return [
            f"Model: {self.model}. {self.settings}.",
            *(f"By {model}: {', '.join(rows)}." for model, rows in self.others.items()),
            f"Machine: {self.machine}.",
            *self._times(),
            f"Cases in the folder: {self.cases}. Each row says over how many its means are.",
            self._by("structure", "structure distance", "--structure"),
            self._by("clip", "CLIP score", "--clip"),
            *self._attributes(),
            *self._pictures(),
            "LPIPS is left out: it needs a network that has to be downloaded.",
        ]

    def _times(self) -> list[str]:
        """Whose the seconds are; where there are several, the one with most edits first."""
        ordered = sorted(self.processors.items(), key=lambda each: -each[1])
        if len(ordered) == 1:
            return [f"Times are of one kind of machine: {ordered[0][0]}."]
        names = ", ".join(f"{name} ({count} edits)" for name, count in ordered)
        return [f"Times are of several machines and cannot be compared: {names}."] if names else []

    def _by(self, what: str, title: str, option: str) -> str:
        if what in self.networks:
            return f"{title[0].upper()}{title[1:]} by {self.networks[what]}."
        return f"No {title}: no network was named for it ({option})."

    def _attributes(self) -> list[str]:
        if "attributes" in self.networks:
            return [f"Attributes read by {self.networks['attributes']}."]
        if not self.expecting:
            return []
        return [
            f"No attribute accuracy, though {self.expecting} cases say what must be seen: "
            "no reader was named (--judge)."
        ]

    def _pictures(self) -> list[str]:
        """Of which pictures the figures are, if not of finished ones alone."""
        if not self.decoded:
            return []
        told = "easured as the model decodes, before the picture's own detail is put back."
        if not self.finished:
            return [f"M{told}"]
        return [f"{', '.join(self.decoded)}: m{told} The other rows are of finished pictures."]
