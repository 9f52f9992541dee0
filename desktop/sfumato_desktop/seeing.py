"""What words look at: the heat map over the picture, and masks found from words or by the prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from sfumato.document.geometry import Rect
from sfumato.errors import InputError
from sfumato.events import Outcome
from sfumato.method import MethodInfo, Need, Recipe
from sfumato.pairing import mask_refusal
from sfumato.prompts import changed_things, words
from sfumato.recording import Recording
from sfumato_desktop.heat import Heat
from sfumato_desktop.running import Runs
from sfumato_desktop.session import Session

if TYPE_CHECKING:
    from sfumato_desktop.window import MainWindow

_WORDS = "word"
"""The parameter by which a masker is told what to mark."""


class Seeing(QObject):
    """Keeps what the last run of the open picture looked at; asks for a look where it has none."""

    said = Signal(str)

    def __init__(self, window: MainWindow, runs: Runs) -> None:
        super().__init__(window)
        self._window, self._panel, self._runs = window, window.panel, runs
        self._action = window.registry["heat_map"]
        self._session: Session | None = None
        self._seen: Recording | None = None
        self._box: Rect = (0, 0, 0, 0)
        self._word = ""
        self._error: Heat | None = None
        self._error_action = window.registry["error_map"]
        runs.finished.connect(self._measured)
        runs.recorded.connect(self._recorded)
        runs.masked.connect(lambda: window.registry["overlay"].setChecked(True))
        runs.ended.connect(lambda _sentence: self._settle())
        self._panel.changed.connect(self._settle)
        self._panel.word_heat_requested.connect(self.show_word)
        self._panel.word_mask_requested.connect(self.mask_word)
        window.registry.bind(
            {
                "heat_map": self._toggle,
                "error_map": self._toggle_error,
                "mask_word": lambda: self.mask_word(self._panel.word_at_cursor()),
                "mask_auto": self.mask_by_prompts,
            }
        )

    def show_session(self, session: Session | None) -> None:
        """Begin anew with another picture."""
        self._session = session
        if session is not None:
            session.changed.connect(lambda _rect: self._forget())
        self._forget()
        self._error = None
        for action in (self._action, self._error_action):
            action.setChecked(False)

    def show_word(self, word: str) -> None:
        """Show where a word looks, now or after a look."""
        self._word = word
        if self._action.isChecked():
            self._follow()
        else:
            self._action.setChecked(True)

    def mask_word(self, word: str) -> None:
        """Have the mask made of what a word looks at."""
        masker = next((each for each in self._maskers() if _takes_words(each)), None)
        if not word:
            self.said.emit("Put the cursor into a word of a prompt first.")
        else:
            self._find(masker, {_WORDS: word}, f"Mask from “{word}”")

    def mask_by_prompts(self) -> None:
        """Have the mask made of what the prompts disagree about."""
        masker = next((each for each in self._maskers() if Need.TARGET_PROMPT in each.needs), None)
        self._find(masker, {}, "Find mask")

    def _find(self, masker: MethodInfo | None, values: dict[str, Any], title: str) -> None:
        if masker is None:
            self.said.emit("No plugin here finds masks that way.")
            return
        recipe = self._panel.asked().model_copy(update={"masker": masker.name, "masker_values": values})
        reason = self._busy() or mask_refusal(masker, self._panel.model(), facts=self._panel.facts())
        if reason:
            self.said.emit(reason)
        elif self._session is not None:
            self._runs.find_mask(recipe, title)

    def _maskers(self) -> list[MethodInfo]:
        ready = self._window.librarian.ready
        return [each for each in ready.methods if each.kind == "masker"] if ready else []

    def _toggle(self, on: bool) -> None:
        self._runs.record = on
        if on:
            self._error_action.setChecked(False)
            self._word = self._word or self._panel.word_at_cursor() or _about(self._panel.recipe())
            self._follow()
        else:
            self._word = ""
            self._window.canvas.set_heat(None)

    def _toggle_error(self, on: bool) -> None:
        """Show where the last inversion was off, if it was measured."""
        if not on:
            self._window.canvas.set_heat(None)
        elif self._error is None:
            self.said.emit("Invert the photo first: then it is known how far it comes back wrong.")
            self._error_action.setChecked(False)
        else:
            self._action.setChecked(False)
            self._window.canvas.set_heat(self._error)

    def _measured(self, outcome: Outcome) -> None:
        report = outcome.inversion
        if report is None or report.error_map is None:
            return
        self._error = Heat("Error of the inversion", outcome.box, report.error_map, "full range")
        if self._error_action.isChecked():
            self._window.canvas.set_heat(self._error)

    def _follow(self) -> None:
        """Show the word from what was seen, or have a look first."""
        if self._session is None or not self._action.isChecked():
            return
        heat = self._heat()
        if heat is not None:
            self._window.canvas.set_heat(heat)
            return
        self._window.canvas.set_heat(None)
        reason = self._why_no_look()
        if reason:
            self.said.emit(reason)
            self._action.setChecked(False)
        else:
            self._runs.look(self._panel.asked())
            self.said.emit(f"Looking where “{self._word}” is in the picture…")

    def _heat(self) -> Heat | None:
        """The map of the word, from the pass whose prompt is still what it was."""
        recipe, seen = self._panel.recipe(), self._seen
        if seen is None:
            return None
        for maps, prompt, said in (
            (seen.source, recipe.source, "in the photo"),
            (seen.target, recipe.target, "in the edit"),
        ):
            if maps is not None and maps.prompt == prompt and self._word.lower() in _lower(maps.words):
                try:
                    return Heat(f"“{self._word}” {said}", self._box, maps.of(self._word))
                except InputError:
                    continue  # a pass without a step that was seen
        return None

    def _why_no_look(self) -> str | None:
        if not self._word:
            return "Say what the photo shows first: a heat map belongs to a word."
        if self._word.lower() not in _lower(word.text for word in words(self._panel.recipe().source)):
            return f"“{self._word}” is not in the photo: with the heat map on, a run of the edit shows it."
        return self._busy() or self._panel.why_no_inversion()

    def _busy(self) -> str | None:
        return "Another run is under way." if self._runs.active else None

    def _recorded(self, outcome: Outcome) -> None:
        self._seen, self._box = outcome.recording, outcome.box
        if self._action.isChecked():
            self._window.canvas.set_heat(self._heat())

    def _settle(self) -> None:
        """A look that was stopped, or a prompt that changed, leaves nothing to show."""
        if self._action.isChecked() and self._heat() is None and not self._runs.active:
            self._action.setChecked(False)

    def _forget(self) -> None:
        self._seen = None
        if not self._error_action.isChecked():
            self._window.canvas.set_heat(None)


def _takes_words(masker: MethodInfo) -> bool:
    return any(control.name == _WORDS for control in masker.controls)


def _about(recipe: Recipe) -> str:
    """What an edit is about, else the last word of the description."""
    changed = changed_things(recipe.source, recipe.target)[0]
    said = changed or tuple(word.text for word in words(recipe.source))[-1:]
    return said[0] if said else ""


def _lower(some: Any) -> set[str]:
    return {str(each).lower() for each in some}
