"""What the engine tells: frozen messages, called on the engine's thread, nothing shared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sfumato.errors import SfumatoError
from sfumato.method import Ability, Mask, MethodInfo, Pixels, Solver
from sfumato.models.catalogue import Checkpoint
from sfumato.pace import Phase
from sfumato.params import Value
from sfumato.preprocessor import PreprocessorInfo
from sfumato.recording import Recording

Inputs = Literal["picture", "inpainting", "instructions"]
"""What a network looks at: the noisy picture, with a mask and what lies around it, or with the original."""


@dataclass(frozen=True)
class Defaults:
    """Values a model was made for, in place of the recipe's own."""

    steps: int = 50
    guidance: float = 5.0
    solver: Solver = "ddim"
    editors: Mapping[str, Mapping[str, Value]] = field(default_factory=dict, hash=False)
    """By an editor's name: a "guidance" and an "inverter" of its own, and values of its parameters."""


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
    family: str = ""
    """In words: "Stable Diffusion 1", "Stable Diffusion XL" ..."""
    inputs: Inputs = "picture"
    prediction: str = "epsilon"
    defaults: Defaults = Defaults()


@dataclass(frozen=True)
class NetworkInfo:
    """A ControlNet described in plain data."""

    name: str
    title: str
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
    controls: tuple[PreprocessorInfo, ...] = ()
    networks: tuple[NetworkInfo, ...] = ()


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
class Cost:
    """Row evaluations: seen by the network, differentiated, seen by a control network."""

    forward: int = 0
    backward: int = 0
    control: int = 0

    @property
    def rows(self) -> int:
        """Forward and backward together."""
        return self.forward + self.backward


@dataclass(frozen=True)
class InversionReport:
    """How well the inversion reproduces the picture; PSNR in dB against the picture at the model's size."""

    inverter: str
    psnr: float | None
    vae_psnr: float
    reused: bool
    steps: int
    key: str = field(default="", compare=False)
    """What it is kept under; the same for every edit that can use it."""
    seconds: float | None = field(default=None, compare=False)
    """What it took to make, also where it was found made."""
    error_map: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    """(H, W) in [0, 1], at the model's size: how far what the inversion brings back is from the picture."""


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
    rows: dict[Phase, int]
    """Network rows evaluated in each phase, forward and backward, by the engine's own counter."""
    provenance: dict[str, Any]
    """Hashes, versions, precision, threads: what replaying needs."""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    extras: dict[str, Any] = field(default_factory=dict)
    costs: dict[Phase, Cost] = field(default_factory=dict)
    """The rows of each phase by their kind."""
    mask: Mask | None = None
    """Of the document's size: the mask that was made for this job, if one was."""
    recording: Recording | None = None
    """What attention and latents did, if the job asked for it."""
    smaller: bool = False
    """Memory was short, and less was made than was asked for."""


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
