"""What a custom panel sees of the edit panel: values, prompts and weights, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Callable

from sfumato.errors import InputError
from sfumato.params import Value
from sfumato_desktop.forms import Form
from sfumato_desktop.prompt_editor import HEAVIEST, PromptEditor

log = logging.getLogger(__name__)


class Bridge:
    """`sfumato.hookspecs.PanelBridge` on a method's form and the prompts."""

    def __init__(self, form: Form, prompts: PromptEditor, edited: Callable[[], None]) -> None:
        """`edited` is called when the panel changed a prompt's weights; the form tells of its own changes."""
        self._form, self._prompts, self._edited = form, prompts, edited
        self._callbacks: list[Callable[[], None]] = []
        self._telling = False

    def value(self, name: str) -> Value:
        self._check(name)
        return self._form.field(name).value()

    def set_value(self, name: str, value: Value) -> None:
        self._check(name)
        self._form.edit(name, value)

    def source(self) -> str:
        return self._prompts.source.text()

    def target(self) -> str:
        return self._prompts.target.text()

    def word_weights(self) -> dict[str, float]:
        return self._prompts.word_weights()

    def set_word_weights(self, weights: dict[str, float]) -> None:
        """Set the weights of all words; raises `InputError` for one outside 0 to 3."""
        wrong = next((word for word, weight in weights.items() if not 0 <= weight <= HEAVIEST), None)
        if wrong is not None:
            raise InputError(f"The weight of '{wrong}' must lie between 0 and {HEAVIEST:g}.")
        before = self._prompts.word_weights()
        self._prompts.set_word_weights(weights)
        if self._prompts.word_weights() != before:
            self._edited()

    def on_change(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    def tell(self) -> None:
        """Call everybody who listens; one who fails is not asked again."""
        if self._telling:
            return
        self._telling = True
        try:
            for callback in tuple(self._callbacks):
                self._call(callback)
        finally:
            self._telling = False

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:
            log.exception("A custom panel failed to follow a change, and is told of no more")
            self._callbacks.remove(callback)

    def _check(self, name: str) -> None:
        names = self._form.names()
        if name not in names:
            raise InputError(f"There is no parameter '{name}'; there are {', '.join(names) or 'none'}.")
