"""What jobs share: the plugins, one loaded model, the kept inversions. Used by one thread at a time."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.events import ModelInfo
from sfumato.method import Progress
from sfumato.models.catalogue import Additions, Checkpoint, from_path
from sfumato.models.inspection import describe
from sfumato.models.places import all_found, kept
from sfumato.plugins import Registry, load_plugins
from sfumato.settings import Settings

if TYPE_CHECKING:
    from sfumato.diffusion.control import ControlNet
    from sfumato.diffusion.store import InversionStore
    from sfumato.models.model import Model

log = logging.getLogger(__name__)

_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "DIFFUSERS_VERBOSITY": "error",
    "TRANSFORMERS_VERBOSITY": "error",
}
"""Read by the libraries when they are imported."""


def go_offline() -> None:
    """Forbid the libraries the network and their chatter; before any of them is imported."""
    os.environ.update(_OFFLINE)


_NOTHING = Additions()


class Workshop:
    """Only `stop` may be called from another thread."""

    def __init__(self, settings: Settings, registry: Registry, store: InversionStore) -> None:
        self.settings = settings
        self.registry = registry
        self.store = store
        self._model: Model | None = None
        self._checkpoint: Checkpoint | None = None
        self._added: tuple[Additions, list[tuple[int, int]]] = Additions(), []
        self._take_off: Callable[[], None] | None = None
        self._networks: dict[Checkpoint, ControlNet] = {}

    def checkpoint(self, name: str) -> Checkpoint:
        """The checkpoint of that name, downloaded since or not, or the folder or file at that path."""
        known = self.registry.checkpoints | {each.name: each for each in kept(self.settings)}
        return known.get(name) or from_path(Path(name).expanduser())

    def describe(self, name: str) -> ModelInfo:
        """Describe a model without loading it. Raises `ModelError` if it cannot be used."""
        return self.registry.models.get(name) or describe(self.checkpoint(name))

    def has_loaded(self, name: str) -> bool:
        """Say whether this model is the one in memory."""
        return self._model is not None and self._checkpoint == self.checkpoint(name)

    def load(self, name: str, additions: Additions = _NOTHING) -> Generator[Progress, None, Model]:
        """Return the model of that name with `additions` on it; another one in memory makes room.

        Raises `ModelError`; if it was for the additions, the model stays in memory without any.
        """
        from sfumato.models.loading import load

        if self._model is None or not self.has_loaded(name):
            self._model = self._checkpoint = self._take_off = None
            self._networks = {}
            checkpoint = self.checkpoint(name)
            self._model = yield from load(
                checkpoint,
                device=self.settings.device,
                precision=self.settings.precision,
                cache_dir=self.settings.cache_dir,
                folders=[each.folder for each in self.registry.checkpoints.values() if each.kind == "folder"],
            )
            self._checkpoint, self._added = checkpoint, (_NOTHING, [])
        yield from self._put_on(additions, self._model)
        return self._model

    def _put_on(self, additions: Additions, model: Model) -> Generator[Progress, None, None]:
        """Exchange what is on the model for `additions`, unless they are, file for file, what is on it."""
        wanted = additions, [_stamp(path) for path in additions.paths]
        if wanted == self._added:
            return
        if self._take_off is not None:
            self._take_off()
        self._take_off, self._added = None, (_NOTHING, [])
        if additions:
            from sfumato.models.additions import put_on

            self._take_off = yield from put_on(additions, model, cache_dir=self.settings.cache_dir)
            self._added = wanted

    def network(self, name: str) -> Checkpoint:
        """The ControlNet of that name, or the folder at that path."""
        if name in self.registry.networks:
            return self.registry.networks[name][0]
        return from_path(Path(name).expanduser())

    def load_networks(
        self, names: Sequence[str], model: Model
    ) -> Generator[Progress, None, tuple[ControlNet, ...]]:
        """Return these ControlNets for the model in memory; all others make room."""
        if not names:
            self._networks = {}
            return ()
        from sfumato.models.controlnet import load_network

        wanted = [self.network(name) for name in names]
        self._networks = {each: net for each, net in self._networks.items() if each in wanted}
        for each in wanted:
            if each not in self._networks:
                self._networks[each] = yield from load_network(each, model, self.settings.cache_dir)
        return tuple(self._networks[each] for each in wanted)

    @property
    def model(self) -> Model | None:
        """The model in memory."""
        return self._model

    @contextmanager
    def saving_memory(self) -> Iterator[None]:
        """Give back what a failed run held; meanwhile the model in memory needs less than it used to."""
        gc.collect()
        import torch

        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        with nullcontext() if self._model is None else self._model.sliced():
            yield

    def stop(self) -> None:
        """Have the network stop before its next block."""
        if model := self._model:
            model.stop.set()

    def resume(self) -> None:
        """Forget an earlier `stop`."""
        if model := self._model:
            model.stop.clear()


def _stamp(path: Path) -> tuple[int, int]:
    """What changes with a file's content; zeros if it is not there."""
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_size, stat.st_mtime_ns


def open_workshop(settings: Settings) -> Workshop:
    """Import everything heavy and load the plugins; takes seconds, so it belongs on the engine's thread."""
    go_offline()
    import torch

    import sfumato.models.loading  # noqa: F401 - so that the first job need not wait for it
    from sfumato.diffusion.store import InversionStore

    torch.set_num_threads(settings.threads)
    registry = load_plugins(extra=all_found(settings))
    store = InversionStore(settings.cache_dir / "inversions", settings.store_limit_bytes)
    return Workshop(settings, registry, store)
