"""The Edit dock: one recipe, from the words to the Run button. It knows no engine and no document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QLabel, QVBoxLayout, QWidget

from sfumato.events import Advanced, ModelInfo, Ready
from sfumato.method import Need, Recipe
from sfumato.pairing import Facts, inversion_refusal, refusal
from sfumato.starting import starting
from sfumato_desktop.bridge import Bridge
from sfumato_desktop.control_box import ControlBox
from sfumato_desktop.forms import Form
from sfumato_desktop.inversion_line import InversionLine
from sfumato_desktop.method_box import MethodBox, Pair
from sfumato_desktop.named import named, push_button, scrolled
from sfumato_desktop.panels import Panels
from sfumato_desktop.prompt_editor import PromptEditor
from sfumato_desktop.run_box import RunBox
from sfumato_desktop.settings_box import SettingsBox
from sfumato_desktop.tab_order import follow_layout

_MARGIN = 12


class EditPanel(QWidget):
    """Shows a recipe and lets it be changed. `run()` is what the Run button does, for menus and keys."""

    run_requested = Signal()
    stop_requested = Signal()
    changed = Signal()
    """The person changed the recipe; `recipe()` gives it."""
    invert_requested = Signal()
    manage_plugins_requested = Signal()
    manage_models_requested = Signal()
    word_heat_requested = Signal(str)
    word_mask_requested = Signal(str)

    def __init__(self, panels: Panels | None = None, parent: QWidget | None = None) -> None:
        """`panels` brings custom panels; without it every method has its generated form."""
        super().__init__(parent)
        named(self, "edit_panel", "Edit", "Say the change, choose the method, run it")
        self._panels = panels or Panels()
        self.starting: Callable[[str, str], dict[str, Any]] = lambda _model, editor: starting(None, editor)
        """What edits with a model and an editor start with."""
        self._kept = Recipe()
        self._has_image = self._has_mask = False
        self._bridge: Bridge | None = None
        self._inversion = InversionLine()
        self._prompts = PromptEditor()
        self.control = ControlBox()
        self._settings = SettingsBox()
        self._run_box = RunBox()
        self._no_methods = _NoMethods()
        self._methods = MethodBox(self._make_panel)
        self._lay_out()
        self._connect()
        self._refresh()

    def set_catalogue(self, ready: Ready) -> None:
        """Offer the methods and models there are."""
        self._methods.set_catalogue(ready)
        self.control.set_catalogue(ready.controls)
        self._no_methods.setVisible(not ready.methods)
        self._methods.setVisible(bool(ready.methods))
        self._refresh()

    def set_facts(self, has_image: bool, has_mask: bool) -> None:
        """Say what there is to work on."""
        self._has_image, self._has_mask = has_image, has_mask
        self._refresh()

    def recipe(self) -> Recipe:
        """What the panel shows."""
        prompts = self._prompts
        return Recipe.model_validate(
            {
                **self._kept.model_dump(),
                "source": prompts.source.text(),
                "target": prompts.target.text(),
                "instruction": prompts.instruction.text(),
                "concepts": prompts.concepts.concepts(),
                "word_weights": prompts.word_weights(),
                **self._methods.part(),
                **self.control.part(),
                **self._settings.part(),
            }
        )

    def asked(self) -> Recipe:
        """The recipe without what the chosen method never looks at: what a run is told, and named after."""
        editor, recipe = self._methods.method("editor"), self.recipe()
        needs = editor.needs if editor is not None else frozenset(Need)
        named = tuple(each for each in recipe.concepts if each[0].strip())
        left_out = {
            "instruction": recipe.instruction if Need.INSTRUCTION in needs else "",
            "concepts": named if Need.CONCEPTS in needs else (),
        }
        return recipe.model_copy(update=left_out)

    def set_recipe(self, recipe: Recipe) -> None:
        """Show a recipe; `changed` is not emitted. What no control shows is kept."""
        self._kept = recipe
        self._prompts.source.set_text(recipe.source)
        self._prompts.target.set_text(recipe.target)
        self._prompts.instruction.set_text(recipe.instruction)
        self._prompts.concepts.set_concepts(recipe.concepts)
        self._prompts.set_word_weights(recipe.word_weights)
        self._settings.set_recipe(recipe)
        self._methods.set_recipe(recipe)
        self.control.set_recipe(recipe)
        self._refresh()

    def set_inversion_status(self, text: str, level: str) -> None:
        """Show how far the inversion is; the level is one of idle, busy, good, warning, bad."""
        self._inversion.set_status(text, level)

    def word_at_cursor(self) -> str:
        """The word of a prompt that was touched last; empty if there is none."""
        return self._prompts.word_at_cursor()

    @property
    def follows_control(self) -> bool:
        """Whether the chosen method looks at a control image."""
        editor = self._methods.method("editor")
        return editor is not None and Need.CONTROL_IMAGE in editor.needs

    def model(self) -> ModelInfo | None:
        """The chosen model, if it is known."""
        return self._methods.model()

    def why_no_inversion(self) -> str | None:
        """What keeps the photo from being inverted, in one sentence."""
        return self._why_no_inversion(self.facts())

    def focus_prompt(self) -> None:
        """Put the cursor where the change is said."""
        self._prompts.first().setFocus(Qt.FocusReason.ShortcutFocusReason)

    def choose_model(self, name: str) -> None:
        """Take a model, as if it had been chosen in the list."""
        self._methods.choose_model(name)

    def follow_models(self) -> None:
        """Have settings that nobody chose begin as the chosen model wishes; no model was known before."""
        recipe = self.recipe()
        now = self.starting(recipe.model, recipe.editor)
        self._settings.follow(starting(None, recipe.editor), now)
        self._methods.follow_models()
        self._refresh()

    def run(self) -> None:
        """Ask for a run, unless something is missing; an unlocked seed is thrown anew."""
        if not self._run_box.can_run:
            return
        if not self._settings.seed.locked():
            self._settings.seed.renew()
        self.run_requested.emit()

    def job_started(self) -> None:
        self._run_box.started()
        self._refresh()

    def job_advanced(self, event: Advanced) -> None:
        """Show the stage, the step and the time left."""
        self._run_box.advanced(event)

    def job_ended(self, outcome: str | None) -> None:
        """Be ready for the next run; `outcome` says how this one went."""
        self._run_box.ended(outcome)
        self._refresh()

    def _lay_out(self) -> None:
        body = QWidget()
        body.setObjectName("edit_body")
        column = QVBoxLayout(body)
        column.setContentsMargins(_MARGIN, _MARGIN, _MARGIN, _MARGIN)
        column.setSpacing(10)
        parts = (
            self._inversion,
            self._prompts,
            _line(),
            self._no_methods,
            self._methods,
            self.control,
            _line(),
            self._settings,
        )
        for part in parts:
            column.addWidget(part)
        column.addStretch(1)
        scroll = scrolled(body, "edit_scroll", "Edit settings")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addWidget(scroll, 1)
        outer.addWidget(_line())
        foot = QVBoxLayout()
        foot.setContentsMargins(_MARGIN, 10, _MARGIN, _MARGIN)
        foot.addWidget(self._run_box)
        outer.addLayout(foot)
        self.setMinimumWidth(300)

    def _connect(self) -> None:
        self._inversion.invert.connect(self.invert_requested)
        self._run_box.run.connect(self.run)
        self._run_box.stop.connect(self.stop_requested)
        self._no_methods.button.clicked.connect(self.manage_plugins_requested)
        self._prompts.heat_wanted.connect(self.word_heat_requested)
        self._prompts.mask_wanted.connect(self.word_mask_requested)
        for part in (self._prompts, self._methods, self.control, self._settings):
            part.edited.connect(self._edited)
        self._methods.models_wanted.connect(self.manage_models_requested)
        self._methods.switched.connect(self._follow)
        for rebuilt in (self._methods.rebuilt, self._prompts.reshaped, self.control.rebuilt):
            rebuilt.connect(lambda: follow_layout(self))
        follow_layout(self)

    def _follow(self, before: Pair, now: Pair) -> None:
        self._settings.follow(self.starting(*before), self.starting(*now))

    def _edited(self) -> None:
        self._refresh()
        self.changed.emit()

    def _make_panel(self, method: str, form: Form) -> QWidget | None:
        bridge = Bridge(form, self._prompts, self._edited)
        panel = self._panels.panel(method, bridge, self)
        self._bridge = bridge if panel is not None else None
        return panel

    def facts(self) -> Facts:
        """What there is to work with."""
        prompts = self._prompts
        return Facts(
            has_image=self._has_image,
            has_mask=self._has_mask,
            controls=frozenset({"control"} if self.control.layer else ()),
            source=prompts.source.text(),
            target=prompts.target.text(),
            instruction=prompts.instruction.text(),
            concepts=any(strength for _, strength in self.asked().concepts),
            weights_differ=bool(prompts.word_weights()),
        )

    def _refresh(self) -> None:
        """Let everything that depends on the recipe and the facts follow."""
        facts, editor = self.facts(), self._methods.method("editor")
        inverts = editor is not None and editor.inversion != "none"
        self.control.setVisible(self.follows_control)
        self._settings.set_usual(self.starting(*self._methods.pair()))
        self._prompts.show_for(editor, self._methods.method("inverter") if inverts else None)
        self._methods.set_facts(facts)
        self._inversion.setVisible(editor is None or editor.inversion != "none")
        self._inversion.allow(self._why_no_inversion(facts))
        compares = editor is not None and Need.SOURCE_PROMPT in editor.needs
        same = "Source and target are the same: the run will only rebuild the photo."
        self._run_box.allow(self._why_no_run(facts), same if compares and facts.asks_for_nothing else "")
        if self._bridge is not None and editor is not None:
            self._bridge.tell()

    def _why_no_run(self, facts: Facts) -> str | None:
        methods = self._methods
        if not methods.loaded:
            return "Loading the methods…"
        missing, editor = methods.missing(), methods.method("editor")
        if missing is not None or editor is None:
            return f"This recipe needs the plugin “{missing}”, which is missing."
        return refusal(editor, methods.method("inverter"), methods.model(), facts=facts)

    def _why_no_inversion(self, facts: Facts) -> str | None:
        inverter = self._methods.method("inverter")
        if self._run_box.running:
            return "Another run is under way."
        if inverter is None:
            return "There is no method to invert with."
        return inversion_refusal(inverter, self._methods.model(), facts=facts)


class _NoMethods(QWidget):
    """What stands in place of the methods when there are none."""

    def __init__(self) -> None:
        super().__init__()
        tip = "See what could not be loaded, and why"
        self.button = push_button("Methods and plugins…", "manage_methods", tip)
        said = QLabel("No methods could be loaded.")
        said.setWordWrap(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(said)
        column.addWidget(self.button)
        self.hide()


def _line() -> QFrame:
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    line.setFrameShadow(QFrame.Shadow.Plain)
    line.setForegroundRole(line.palette().ColorRole.Mid)
    return line
