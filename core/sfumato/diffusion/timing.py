"""How much of an edit's time is the network's, and what attention control adds to the network's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from sfumato.costs import Run, job_for, recipe_for, sample_picture

if TYPE_CHECKING:
    from sfumato.models.model import Model
    from sfumato.workshop import Workshop

_EVERY = 4
"""Of the controlled forwards each fourth is repeated without control."""


@dataclass
class Timing:
    """Seconds of one edit."""

    whole: float = 0.0
    network: float = 0.0
    """Inside the U-Net, as the edit ran it: same rows, same processors."""
    vae: float = 0.0
    controlled: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    """The same forwards again, with the processors the network has by itself, each right after the other."""

    @property
    def beside(self) -> float:
        """The whole edit over its network and VAE passes."""
        return self.whole / (self.network + self.vae)

    @property
    def control(self) -> float:
        """Controlled forwards over plain ones."""
        return sum(self.controlled) / sum(self.plain)


def time_edit(workshop: Workshop, model: str, steps: int, run: Run) -> Timing:
    """Invert directly and edit with Prompt-to-Prompt; two runs, one for each ratio, from an empty store."""
    registry = workshop.registry
    editor = registry.info("editor", "p2p")
    recipe = recipe_for(registry, registry.info("inverter", "direct"), editor)
    recipe = recipe.model_copy(update={"model": model, "steps": steps})
    picture = sample_picture(workshop.describe(model).size)
    timing = Timing()
    if workshop.model is None:
        run(job_for(editor, recipe.model_copy(update={"steps": 1}), picture), workshop)
    loaded = workshop.model
    assert loaded is not None
    workshop.store.clear()
    with _timed(loaded, timing):
        began = time.perf_counter()
        run(job_for(editor, recipe, picture), workshop)
        timing.whole = time.perf_counter() - began
    with _compared(loaded, timing):
        run(job_for(editor, recipe, picture), workshop)
    return timing


@contextmanager
def _timed(model: Model, timing: Timing) -> Iterator[None]:
    """Add up the seconds inside the U-Net and the VAE meanwhile."""

    def network(call: Callable[[], Any]) -> Any:
        result, spent = _spent(call, model)
        timing.network += spent
        return result

    def vae(call: Callable[[], Any]) -> Any:
        result, spent = _spent(call, model)
        timing.vae += spent
        return result

    with (
        _around(model.unet, "forward", network),
        _around(model, "encode", vae),
        _around(model, "decode", vae),
    ):
        yield


@contextmanager
def _compared(model: Model, timing: Timing) -> Iterator[None]:
    """Run some of the controlled forwards a second time, plain; which goes first alternates."""
    own = {site.name: _processor(model, site.name) for site in model.sites}
    seen = 0

    def network(call: Callable[[], Any]) -> Any:
        nonlocal seen
        installed = {name: _processor(model, name) for name in own}
        seen += installed != own
        if installed == own or seen % _EVERY:
            return call()
        if seen % (2 * _EVERY):
            timing.plain.append(_plain(call, model, own, installed))
        result, spent = _spent(call, model)
        timing.controlled.append(spent)
        if len(timing.plain) < len(timing.controlled):
            timing.plain.append(_plain(call, model, own, installed))
        return result

    with _around(model.unet, "forward", network):
        yield


def _plain(call: Callable[[], Any], model: Model, own: dict[str, Any], installed: dict[str, Any]) -> float:
    """Seconds of a forward with the network's own processors."""
    _install(model, own)
    try:
        return _spent(call, model)[1]
    finally:
        _install(model, installed)


def _processor(model: Model, name: str) -> Any:
    return model.unet.get_submodule(name).processor


def _install(model: Model, processors: dict[str, Any]) -> None:
    for name, processor in processors.items():
        module: Any = model.unet.get_submodule(name)
        module.set_processor(processor)


def _spent(call: Callable[[], Any], model: Model) -> tuple[Any, float]:
    """What a call gives, and the seconds it took the device."""
    _settle(model)
    began = time.perf_counter()
    result = call()
    _settle(model)
    return result, time.perf_counter() - began


def _settle(model: Model) -> None:
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)


@contextmanager
def _around(owner: Any, name: str, wrapper: Callable[[Callable[[], Any]], Any]) -> Iterator[None]:
    """Meanwhile `owner.name(...)` is `wrapper(lambda: the same call)`."""
    inner = getattr(owner, name)
    setattr(owner, name, lambda *args, **kwargs: wrapper(lambda: inner(*args, **kwargs)))
    try:
        yield
    finally:
        delattr(owner, name)
