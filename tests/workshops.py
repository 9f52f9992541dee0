"""A workshop that need not load anything."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from sfumato.diffusion.store import InversionStore
from sfumato.events import ModelInfo
from sfumato.method import Progress
from sfumato.plugins import Registry
from sfumato.settings import Settings
from sfumato.workshop import Workshop


class OneModel(Workshop):
    """Has one model, and it is loaded."""

    def __init__(self, settings: Settings, registry: Registry, model: Any) -> None:
        store = InversionStore(settings.cache_dir / "inversions", settings.store_limit_bytes)
        super().__init__(settings, registry, store)
        self._model = model

    def describe(self, name: str) -> ModelInfo:
        assert self._model is not None
        return self._model.info

    def has_loaded(self, name: str) -> bool:
        return True

    def load(self, name: str, additions: Any = None) -> Generator[Progress, None, Any]:
        yield Progress(0, 1, "Loading the model")
        return self._model
