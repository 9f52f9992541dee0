"""The vocabulary of an edit: what is asked (Recipe, Job), what a method gets (EditRequest) and gives (Edit).

Import-light: torch appears in annotations only, so the window can use this module before torch is loaded.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Generic, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from sfumato.params import Control, P, Params

if TYPE_CHECKING:
    from torch import Tensor

    from sfumato.diffusion.control import ControlNet
    from sfumato.diffusion.inversion import Inversion
    from sfumato.models.model import Model

Pixels = NDArray[np.uint8]
"""(H, W, 4) uint8, straight alpha, in the document's own colour profile."""
Mask = NDArray[np.uint8]
"""(H, W) uint8; 255 = may change, 0 = must not."""
Solver = Literal["ddim", "euler_a", "dpmpp_sde", "lcm"]


class Need(StrEnum):
    """What a method cannot do without; the value is the word shown to people."""

    IMAGE = "a picture"
    SOURCE_PROMPT = "a source prompt"
    TARGET_PROMPT = "a target prompt"
    INSTRUCTION = "an instruction"
    MASK = "a mask"
    CONTROL_IMAGE = "a control image"
    CONCEPTS = "something to add or to take away"


class Ability(StrEnum):
    """What a method asks of a model; the value completes "needs a model ..."."""

    PROMPTS = "that follows prompts"
    ATTENTION = "with attention between words and picture"
    INVERSION = "of many small steps (not a turbo or LCM model)"
    INSTRUCTIONS = "trained to follow instructions (InstructPix2Pix and its kin)"


class Recipe(BaseModel):
    """Everything an edit is, except its pixels. It travels in layers, projects, exports and recipe files."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    source: str = Field(default="", max_length=2000)
    """What the picture shows."""
    target: str = Field(default="", max_length=2000)
    """What it should show."""
    negative: str = Field(default="", max_length=2000)
    """What to steer away from."""
    instruction: str = Field(default="", max_length=2000)
    """An instruction, for methods that take one."""
    concepts: tuple[tuple[str, float], ...] = ()
    """Signed concepts with their strengths."""
    word_weights: dict[str, float] = Field(default_factory=dict)
    """Factor on the attention of a word of the target prompt; 1 leaves it alone."""
    inverter: str = "direct"
    inverter_values: dict[str, bool | int | float | str] = Field(default_factory=dict)
    editor: str = "p2p"
    editor_values: dict[str, bool | int | float | str] = Field(default_factory=dict)
    preprocessor: str = "canny"
    """Makes the control image of the picture, for methods that need one, if none is given."""
    preprocessor_values: dict[str, bool | int | float | str] = Field(default_factory=dict)
    model: str = "starter"
    """A model's name in the catalogue, or the path of a diffusers folder or a single file."""
    loras: tuple[tuple[str, float], ...] = Field(default=(), max_length=16)
    """LoRA files put on the model, each with its strength."""
    embeddings: tuple[str, ...] = Field(default=(), max_length=64)
    """Textual-inversion files whose words the prompts may use."""
    vae: str = ""
    """A folder or file whose autoencoder takes the place of the model's own."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    steps: int = Field(default=50, ge=1, le=1000)
    guidance: float = Field(default=5.0, ge=0, le=50)
    """Classifier-free guidance w: 1 is the conditional model alone."""
    start: float = Field(default=0.0, ge=0, lt=1)
    """Share of the steps to skip from the noisiest end."""
    solver: Solver = "ddim"
    eta: float = Field(default=0.0, ge=0, le=1)
    """Fresh noise per step: 0 is DDIM, 1 is DDPM."""
    timestep_offset: Literal[0, 1] = 1
    """1 takes the timesteps checkpoints were made for; 0 those of the published editing code, whose last step
    is idle."""
    encoding: Literal["mean", "sample"] = "mean"
    """Start from the mean of the VAE's posterior, or from one sample of it as some published code does."""
    size: tuple[int, int] | None = None
    """(width, height) in pixels for pictures made from words alone; the model's own size if absent."""
    candidates: int = Field(default=1, ge=1, le=16)
    masker: str = ""
    """What makes the mask where none was painted; empty for none."""
    masker_values: dict[str, bool | int | float | str] = Field(default_factory=dict)


def _new_id() -> str:
    return uuid.uuid4().hex


@dataclass(frozen=True, eq=False, kw_only=True)
class Job:
    """One thing to do, as plain data: it crosses from the window to the engine and shares nothing.

    `task="invert"` only inverts and reports, `task="mask"` only makes the mask the recipe's masker finds,
    `task="control"` only makes the control image of the picture; these names are reserved.
    """

    recipe: Recipe
    task: Literal["edit", "invert", "mask", "control"] = "edit"
    image: Pixels | None = None
    profile: bytes | None = None
    """ICC profile of `image`; None means sRGB."""
    mask: Mask | None = None
    control_images: Mapping[str, Pixels] = field(default_factory=dict)
    near: tuple[int, int, int, int] | None = None
    """The box of an earlier edit of this picture, to be worked on again if the mask still lies inside it."""
    record: bool = False
    """Have the result say where each word looked and which way the latents went."""
    scale: float = 1.0
    """Share of the model's own size to work at; below 1 when memory was short."""
    id: str = field(default_factory=_new_id)


@dataclass(frozen=True, eq=False, kw_only=True)
class EditRequest(Generic[P]):
    """What one method is asked to do, at the model's size: H, W pixels; h, w latent cells; C channels."""

    image: Tensor | None
    """(1, 3, H, W) in [-1, 1], or None when a picture is made from words."""
    x0: Tensor | None
    """(1, C, h, w): the VAE's mean of `image`, scaled."""
    pixel_mask: Tensor | None
    """(1, 1, H, W) in [0, 1]; 1 = may change."""
    latent_mask: Tensor | None
    """(1, 1, h, w) in {0, 1}."""
    control_images: Mapping[str, Tensor]
    """(1, 3, H, W) in [-1, 1]: those given, or the one made of the picture as "control"."""
    latent_shape: tuple[int, int, int, int]
    source: str
    target: str
    negative: str
    instruction: str
    concepts: tuple[tuple[str, float], ...]
    word_weights: Mapping[str, float]
    guidance: float
    start: float
    steps: int
    seed: int
    solver: Solver
    eta: float
    candidates: int
    params: P
    timestep_offset: Literal[0, 1] = 1
    networks: tuple[ControlNet, ...] = ()
    """The ControlNets that `Editor.networks` named, in that order."""
    noise: Tensor | None = None
    """Use this noise instead of drawing it from the seed: (1, C, h, w), or one per level where a method draws
    one for each."""


@dataclass(frozen=True, eq=False)
class Progress:
    """One step of long work. `preview` is x̂0 of the picture in the making, (1, C, h, w), or None."""

    step: int
    total: int
    stage: str
    preview: Tensor | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Edit:
    """What an editor returns."""

    latents: Tensor
    """(n, C, h, w): the candidates."""
    source: Tensor | None = None
    """(1, C, h, w): the source row at the end, if the method ran one."""
    mask: Tensor | None = None
    """(1, 1, h, w) in [0, 1]: where the method itself decided to change the picture; nothing else will."""
    mask_follows_edges: bool = False
    """Whether `mask` bounds something of the source, whose edges it is then snapped to."""
    keeps_detail: bool = True
    """Whether the picture's own fine detail comes back where little was changed; not where it is to go."""
    notes: tuple[str, ...] = ()
    """Sentences for the person: what was decided on their behalf."""


class Method(ABC, Generic[P]):
    """What all methods share. Class attributes describe the method to people and to forms."""

    name: ClassVar[str]
    """Goes into files and never changes."""
    title: ClassVar[str]
    summary: ClassVar[str]
    """One line, in words a photographer understands."""
    paper: ClassVar[str] = ""
    version: ClassVar[int] = 1
    """Raise it when the result changes, so that kept inversions are not mistaken for new ones."""
    params: ClassVar[type[Params]] = Params
    needs: ClassVar[frozenset[Need]] = frozenset()
    abilities: ClassVar[frozenset[Ability]] = frozenset()
    """What the model must be able to do."""


class Inverter(Method[P]):
    """A way to turn a picture into latents."""

    depends_on: ClassVar[frozenset[Literal["guidance", "seed", "negative"]]] = frozenset()
    """Which of these the result depends on; they become part of the key under which it is kept."""

    @abstractmethod
    def invert(self, request: EditRequest[P], model: Model) -> Generator[Progress, None, Inversion]:
        """Yield progress; return the inversion of `request.x0` under `request.source`."""


class Editor(Method[P]):
    """A way to edit."""

    inversion: ClassVar[Literal["none", "optional", "required"]] = "required"
    uses: ClassVar[frozenset[Literal["trajectory", "context", "noise", "pin"]]] = frozenset()
    """What of an inversion it makes use of."""
    unmoved: ClassVar[str] = ""
    """What to try when a result is hardly another picture, in a sentence; empty if nothing is known."""

    def prompt_to_invert(self, request: EditRequest[P]) -> str:
        """The prompt to invert with; the source prompt unless a method knows better."""
        return request.source

    def guidance_to_invert(self, request: EditRequest[P]) -> float:
        """The guidance to invert under; the request's, unless that is no guidance of the source prompt."""
        return request.guidance

    def networks(self, params: P) -> tuple[str, ...]:
        """The ControlNets to load, by name or folder. Raises `PairingError` if one is wanting."""
        return ()

    @abstractmethod
    def edit(
        self, request: EditRequest[P], inversion: Inversion | None, model: Model
    ) -> Generator[Progress, None, Edit]:
        """Yield progress; return the edited latents."""


class Masker(Method[P]):
    """A way to find out where a picture should change."""

    @abstractmethod
    def find(self, request: EditRequest[P], model: Model) -> Generator[Progress, None, Tensor]:
        """Yield progress; return a mask in [0, 1], (1, 1, h, w) or (1, 1, H, W); all 0 if nothing fits."""


@dataclass(frozen=True)
class MethodInfo:
    """A method described in plain data, for the window and the command line."""

    kind: Literal["inverter", "editor", "masker"]
    name: str
    title: str
    summary: str
    paper: str
    needs: frozenset[Need]
    abilities: frozenset[Ability]
    controls: tuple[Control, ...]
    inversion: Literal["none", "optional", "required"] = "none"
    origin: str = ""
    """The package it came from, with its version."""
