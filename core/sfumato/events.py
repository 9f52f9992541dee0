"""What the engine tells: frozen messages, called on the engine's thread, nothing shared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from sfumato.errors import SfumatoError
from sfumato.method import Ability, MethodInfo, Pixels
from sfumato.models.catalogue import Checkpoint


@dataclass(frozen=True)
class ModelInfo:
    """A checkpoint described in plain data."""

    name: str
    title: str
    size: int
    """Side of the square, in pixels, it was trained at."""
    multiple: int
    """Width and height must be multiples of this many pixels."""
    abilities: frozenset[Ability]
    note: str = ""


@dataclass(frozen=True)
class Broken:
    """A plugin that could not be used, and why, in one sentence."""

    plugin: str
    error: str
    details: str = ""


@dataclass(frozen=True)
class Ready:
    """Plugins are loaded."""

    methods: tuple[MethodInfo, ...]
    models: tuple[ModelInfo, ...]
    broken: tuple[Broken, ...]
    checkpoints: tuple[Checkpoint, ...] = ()
    """Those that plugins bring, for `Shelf`."""


@dataclass(frozen=True)
class Started:
    job: str


@dataclass(frozen=True, eq=False)
class Advanced:
    """`preview` (h, w, 3) uint8 only if someone looks; `box` = where in the document it belongs."""

    job: str
    stage: str
    step: int
    total: int
    seconds_left: float | None
    preview: Pixels | None = None
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class InversionReport:
    """How well the inversion reproduces the picture; PSNR in dB against the picture at the model's size."""

    inverter: str
    psnr: float | None
    vae_psnr: float
    reused: bool
    steps: int


@dataclass(frozen=True, eq=False)
class Outcome:
    """A finished job: for each candidate an RGBA patch to lay over `box` of the document.

    Where a patch's alpha is 0 the document is untouched, bit for bit.
    """

    box: tuple[int, int, int, int]
    patches: tuple[Pixels, ...]
    inversion: InversionReport | None
    changed_outside: int
    """Pixels outside the mask that the flattened result changes: 0, and counted, not assumed."""
    rows: dict[Literal["inversion", "edit"], int]
    """Network rows evaluated, by the engine's own counter."""
    provenance: dict[str, Any]
    """Hashes, versions, precision, threads: what replaying needs."""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    extras: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Finished:
    job: str
    outcome: Outcome


@dataclass(frozen=True)
class Failed:
    job: str
    error: SfumatoError


@dataclass(frozen=True)
class Cancelled:
    job: str


Event = Ready | Started | Advanced | Finished | Failed | Cancelled
