"""What a person can set, and where the program keeps its things."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any, Literal

from platformdirs import PlatformDirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sfumato.errors import InputError, StorageError
from sfumato.files.atomic import write_atomically
from sfumato.params import explain

log = logging.getLogger(__name__)

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
GIGABYTE = 1024**3


def _available_threads() -> int:
    """All processors but one; OMP_NUM_THREADS, where it is set, speaks for the person.

    Hundreds of small operations a step meet at OpenMP barriers: with every processor taken, anything else
    that runs makes all of them wait, and an edit can take ten times as long.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(count - 1, 1)


class ModelDefaults(BaseModel):
    """What recipes for one model start with; None leaves the program's own value."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    size: tuple[int, int] | None = None
    """(width, height) in pixels of pictures made from words."""
    steps: int | None = Field(default=None, ge=1, le=1000)
    guidance: float | None = Field(default=None, ge=0, le=50)


class Settings(BaseModel):
    """Choices that outlive a session. The three folders come from the system, not from the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    data_dir: Path = Field(exclude=True)
    """Settings and what a person adds."""
    cache_dir: Path = Field(exclude=True)
    """Kept inversions; may be deleted at any time."""
    state_dir: Path = Field(exclude=True)
    """Logs and recovery files."""
    threads: int = Field(default_factory=_available_threads, ge=1, le=1024)
    """Processor threads of the network; another number may change the last bit of a result."""
    device: Device = "auto"
    precision: Precision = "auto"
    """Of the network; "auto" is fp32 on a CPU and fp16 on a graphics card."""
    store_limit_bytes: int = Field(2 * GIGABYTE, ge=0)
    """How much disk kept inversions may take."""
    models: tuple[Path, ...] = ()
    """Diffusers folders and single files beside those that plugins bring."""
    default_model: str = ""
    """The model new recipes start with; empty for the starter model."""
    model_defaults: dict[str, ModelDefaults] = Field(default_factory=dict)
    """By the model's name."""

    def changed(self, **values: Any) -> Settings:
        """The same with some values changed. Raises `InputError` if one is not possible."""
        try:
            return Settings.model_validate({**dict(self), **values})
        except ValidationError as error:
            raise InputError(explain(error, "The settings")) from error

    @property
    def path(self) -> Path:
        """The file the settings are kept in."""
        return self.data_dir / "settings.json"


def folders() -> dict[str, Path]:
    """Where this system keeps such things; SFUMATO_HOME puts all of them into one folder."""
    if home := os.environ.get("SFUMATO_HOME"):
        root = Path(home).expanduser()
        return {f"{name}_dir": root / name for name in ("data", "cache", "state")}
    dirs = PlatformDirs("sfumato", appauthor=False)
    return {
        "data_dir": Path(dirs.user_data_dir),
        "cache_dir": Path(dirs.user_cache_dir),
        "state_dir": Path(dirs.user_state_dir),
    }


def load_settings() -> Settings:
    """Read the settings; a file that cannot be understood is left alone and the defaults are used."""
    settings = Settings.model_validate(folders())
    try:
        kept = json.loads(settings.path.read_text(encoding="utf-8"))
        return Settings.model_validate({**kept, **folders()})
    except FileNotFoundError:
        return settings
    except (OSError, TypeError, ValueError, ValidationError) as error:
        log.warning("Settings in %s are not used: %s", settings.path, error)
        return settings


def save_settings(settings: Settings) -> None:
    """Write the settings. Raises `StorageError` if the place cannot be written."""
    try:
        settings.path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"The folder {settings.path.parent} cannot be made: {error.strerror}.") from error
    with write_atomically(settings.path) as file:
        file.write(settings.model_dump_json(indent=2).encode())
