"""The recipe's settings: one small TOML file, read into frozen dataclasses."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from sfumato.errors import InputError


@dataclass(frozen=True)
class DataSettings:
    """The world's words (empty: all) and how many foreign drawings the VAE sees."""

    others: int
    words: tuple[str, ...]


@dataclass(frozen=True)
class VaeSettings:
    """The autoencoder's shape and training; `crops` counts 64-pixel crops, a whole picture being four."""

    widths: tuple[int, ...]
    latent_channels: int
    layers: int
    groups: int
    crops: int
    whole: float
    batch: int
    crop: int
    learning_rate: float
    average: float
    kl: float
    photographs: float
    strangers: float
    whitening: int


@dataclass(frozen=True)
class DiffusionSettings:
    """Denoiser and text encoder, and their training; `pictures` and `shares` go with `sizes` (pixels)."""

    widths: tuple[int, ...]
    heads: tuple[int, ...]
    context: int
    text_layers: int
    text_heads: int
    prediction: str
    views: int
    batch: int
    learning_rate: float
    average: float
    pictures: tuple[int, ...]
    sizes: tuple[int, ...]
    shares: tuple[float, ...]
    pairs: float
    probe: int


@dataclass(frozen=True)
class JudgeSettings:
    """The attribute classifier and its training."""

    widths: tuple[int, ...]
    views: int
    batch: int
    learning_rate: float
    average: float
    round_trips: int
    checked: int


@dataclass(frozen=True)
class SiblingSettings:
    """What the training of every sibling has."""

    views: int
    batch: int
    learning_rate: float
    average: float
    checked: int  # held-out pictures its figures are measured on


@dataclass(frozen=True)
class InstructSettings(SiblingSettings):
    """The instructed sibling: pairs encoded once, and held-out ones that its guidances are chosen on."""

    pictures: int
    probe: int
    swept: int


@dataclass(frozen=True)
class ControlSettings(SiblingSettings):
    """The ControlNet: pictures whose edges are drawn, and the widths of the layers that read them."""

    pictures: int
    probe: int
    embedding: tuple[int, ...]


@dataclass(frozen=True)
class TurboSettings(SiblingSettings):
    """The few-step sibling: its teacher's guidance, how many of the teacher's pictures it is compared with on
    the way, and the steps it is measured at."""

    probe: int
    guidance: float
    steps: int


@dataclass(frozen=True)
class EvaluationSettings:
    """How much is measured, and with how many steps and what guidance."""

    composites: int
    prompts: int
    swaps: int
    inversions: int
    steps: int
    guidance: float


@dataclass(frozen=True)
class WorkerSettings:
    """How the work is spread, saved and checked."""

    count: int
    save_seconds: float
    check_views: int


@dataclass(frozen=True)
class Settings:
    """Everything starter.toml holds."""

    seed: int
    data: DataSettings
    vae: VaeSettings
    diffusion: DiffusionSettings
    instruct: InstructSettings
    control: ControlSettings
    turbo: TurboSettings
    judge: JudgeSettings
    evaluation: EvaluationSettings
    workers: WorkerSettings


def section(kind: type, name: str, values: dict[str, Any]) -> Any:
    """One table as its dataclass; InputError naming what is missing or unknown."""
    known = {field.name for field in fields(kind)}
    wrong = sorted(known.symmetric_difference(values))
    if wrong:
        raise InputError(f"The settings in [{name}] are missing or unknown: {', '.join(wrong)}.")
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


def read_settings(path: Path | None = None) -> Settings:
    """The settings of a TOML file, by default starter.toml beside this module."""
    path = path or Path(__file__).with_name("starter.toml")
    table = tomllib.loads(path.read_text())
    kinds = {
        "data": DataSettings,
        "vae": VaeSettings,
        "diffusion": DiffusionSettings,
        "instruct": InstructSettings,
        "control": ControlSettings,
        "turbo": TurboSettings,
        "judge": JudgeSettings,
        "evaluation": EvaluationSettings,
        "workers": WorkerSettings,
    }
    made = {name: section(kind, name, table.get(name, {})) for name, kind in kinds.items()}
    return Settings(table["seed"], **made)
