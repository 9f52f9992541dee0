"""The whole plugin contract. A plugin implements any of these; `plugins/README.md` shows how in ten minutes.

Methods and models are registered in entry-point group `sfumato` and loaded on the engine thread.
Panels are registered in group `sfumato.panels`, loaded by the window, and must not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import pluggy

if TYPE_CHECKING:
    from sfumato.benchmark.sets import CaseSet
    from sfumato.method import Editor, Inverter, Masker
    from sfumato.models.catalogue import Checkpoint
    from sfumato.params import Value
    from sfumato.preprocessor import Preprocessor

hookspec = pluggy.HookspecMarker("sfumato")
hookimpl = pluggy.HookimplMarker("sfumato")


@hookspec
def register_inverters() -> Sequence[Inverter[Any]]:
    """Ways to turn a picture into latents."""
    ...


@hookspec
def register_editors() -> Sequence[Editor[Any]]:
    """Ways to edit."""
    ...


@hookspec
def register_masks() -> Sequence[Masker[Any]]:
    """Ways to make a mask: from a word, from what two prompts disagree about."""
    ...


@hookspec
def register_controls() -> Sequence[Preprocessor[Any]]:
    """Ways to make a control image of a picture."""
    ...


@hookspec
def register_models() -> Sequence[Checkpoint]:
    """Checkpoints beyond those the user has pointed at; a ControlNet's folder is known by its config.json."""
    ...


@hookspec
def register_cases() -> Sequence[CaseSet]:
    """Sets of editing cases that `sfumato bench edits` can be run on."""
    ...


class PanelBridge(Protocol):
    """What a custom panel may read and set. Values follow the method's `Params`."""

    def value(self, name: str) -> Value: ...
    def set_value(self, name: str, value: Value) -> None: ...
    def source(self) -> str: ...
    def target(self) -> str: ...
    def word_weights(self) -> dict[str, float]: ...
    def set_word_weights(self, weights: dict[str, float]) -> None: ...
    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` whenever a value, a prompt or a weight changes."""
        ...


@hookspec(firstresult=True)
def custom_panel(method: str, bridge: PanelBridge, parent: Any) -> Any:
    """A Qt widget shown above the generated form of `method`, or None."""
    ...
