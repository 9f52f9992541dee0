"""What the window does with its open document: connects panel, canvas, layers, runs and files."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from sfumato.document.commands import SetMask, SetRecipe
from sfumato.document.layers import Document
from sfumato.errors import SfumatoError
from sfumato.events import Advanced, Outcome, Ready
from sfumato_desktop import dialogs, masking
from sfumato_desktop.filing import Filing
from sfumato_desktop.making import Making
from sfumato_desktop.models_dialog import ModelsDialog
from sfumato_desktop.readout import Measurement, Readout
from sfumato_desktop.running import Runs
from sfumato_desktop.seeing import Seeing
from sfumato_desktop.session import Session
from sfumato_desktop.status import inversion_sentence
from sfumato_desktop.steering import Steering

if TYPE_CHECKING:
    from sfumato_desktop.window import MainWindow


class Workbench(QObject):
    """Owns the session and the run flow; state goes widget -> command -> document -> signal -> widgets."""

    session_changed = Signal()

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._actions = window.registry
        self._canvas, self._panel = window.canvas, window.panel
        self._layers, self._status = window.layers, window.status
        self.session: Session | None = None
        self.catalogue: Ready | None = None
        self._inversion = inversion_sentence(None)
        self.filing = Filing(window, window.preferences)
        self.filing.fresh = window.librarian.fresh_recipe
        self._panel.starting = window.librarian.starting
        self.runs = Runs(window.jobs, self)
        self.making = Making(window, self.runs)
        self.seeing = Seeing(window, self.runs)
        self.steering = Steering(window, self.runs)
        self.readout = Readout(self)
        self._connect_parts()
        self._connect_runs()
        self._actions.bind(self._layers.handlers())
        self._actions.bind(self._handlers())

    def _connect_parts(self) -> None:
        window, panel = self._window, self._panel
        self.filing.opened.connect(self.replace_session)
        self.filing.written.connect(self._status.say)
        self.seeing.said.connect(self._status.say)
        self.steering.said.connect(self._status.say)
        window.start.open_path.connect(self.filing.open)
        window.start.open_sample.connect(self.filing.open_sample)
        self._canvas.view_changed.connect(self._show_zoom)
        self._canvas.peeked.connect(lambda peeking: self.look(not peeking))
        self._layers.selected.connect(self._layer_selected)
        self.readout.measured.connect(self._measured)
        window.jobs.ready.connect(window.librarian.set_ready)
        window.librarian.catalogue_changed.connect(self._catalogue_ready)
        panel.manage_models_requested.connect(self._show_models)
        panel.changed.connect(self._recipe_edited)
        panel.run_requested.connect(lambda: self.runs.edit(panel.asked()))
        panel.stop_requested.connect(self.runs.stop)
        panel.invert_requested.connect(self._invert)
        panel.manage_plugins_requested.connect(self._show_plugins)

    def _connect_runs(self) -> None:
        runs = self.runs
        runs.started.connect(self._run_started)
        runs.advanced.connect(self._run_advanced)
        runs.preview.connect(self._canvas.set_preview)
        runs.ended.connect(self._run_ended)
        runs.finished.connect(self._run_finished)
        runs.failed.connect(self._run_failed)
        runs.made_document.connect(self._picture_made)
        runs.landed.connect(self._layers.select)

    def _handlers(self) -> dict[str, Callable[[], object]]:
        files, canvas, window = self.filing, self._canvas, self._window
        return {
            "new_from_words": lambda: self.making.ask(self.session),
            "open": files.ask_and_open,
            "new_from_clipboard": files.from_clipboard,
            "paste": lambda: files.paste(self.session),
            "save": lambda: self.session and files.save(self.session),
            "save_as": lambda: self.session and files.save_as(self.session),
            "export": lambda: self.session and files.export(self.session),
            "load_recipe": lambda: self.session and files.ask_and_load_recipe(self.session),
            "copy": lambda: self.session and files.copy(self.session),
            "close": lambda: files.may_close(self.session) and self._show_session(None),
            "quit": window.close,
            "undo": lambda: self.session and self.session.undo(),
            "redo": lambda: self.session and self.session.redo(),
            "select_all": lambda: self._set_mask(masking.everything),
            "select_none": lambda: self._set_mask(masking.nothing),
            "select_invert": lambda: self._set_mask(masking.inverted),
            "rerun": lambda: self._layers.current and self.runs.again(self._layers.current),
            "use_settings": self._use_settings,
            "invert": self._invert,
            "run": self._panel.run,
            "focus_prompt": self._focus_prompt,
            "stop": self.runs.stop,
            "focus_canvas": canvas.setFocus,
            "fit": canvas.fit,
            "zoom_100": lambda: canvas.zoom_to(1),
            "zoom_200": lambda: canvas.zoom_to(2),
            "zoom_400": lambda: canvas.zoom_to(4),
            "zoom_in": lambda: canvas.zoom_step(1),
            "zoom_out": lambda: canvas.zoom_step(-1),
            "manage_plugins": self._show_plugins,
            "models": self._show_models,
            "shortcuts": lambda: dialogs.show_shortcuts(window),
            "offline": lambda: dialogs.show_offline(window),
            "about": lambda: dialogs.show_about(window),
        }

    # Documents ---------------------------------------------------------------------------------

    def replace_session(self, session: Session) -> None:
        """Show a newly opened document, once the open one may go."""
        if self.filing.may_close(self.session):
            self._show_session(session)

    def _picture_made(self, made: Session) -> None:
        """Show a picture made from words; if the open one has to stay, as a layer of it."""
        if self.filing.may_close(self.session):
            self._show_session(made)
        elif self.session is not None:
            self.making.lay_in(made, self.session)

    def close(self) -> bool:
        """Ask about unsaved changes; if all may go, stop everything. Return whether it may."""
        if not self.filing.may_close(self.session):
            return False
        self._show_session(None)
        self.readout.close()
        self._window.librarian.close()
        self._window.jobs.close()
        return True

    def _show_session(self, session: Session | None) -> None:
        previous, self.session = self.session, session
        for part in (self._canvas, self._layers, self.readout, self.runs, self.seeing, self.steering):
            part.show_session(session)
        document = session.document if session is not None else None
        self._status.show_document(document)
        if session is not None and document is not None:
            session.mask_changed.connect(self._tell_facts)
            session.stepped.connect(self._follow_undo)
            session.recipe_changed.connect(lambda: self._panel.set_recipe(session.document.recipe))
            self._panel.set_recipe(document.recipe)
            self._window.modes.document_opened(has_mask=document.mask is not None)
        self._status.say(" ".join(document.notes) if document is not None else "")
        if not self.runs.active:
            self._panel.job_ended(None)
        self._inversion = inversion_sentence(None)
        self._show_inversion(*self._inversion)
        self._tell_facts()
        self.session_changed.emit()
        self._follow_undo()
        if previous is not None:
            previous.deleteLater()

    def _follow_undo(self) -> None:
        """Name the step in the menu, and offer only what is possible."""
        if self.session is None:
            return
        stack, undo, redo = self.session.undo_stack, self._actions["undo"], self._actions["redo"]
        undo.setEnabled(stack.canUndo())
        redo.setEnabled(stack.canRedo())
        undo.setText(f"&Undo {stack.undoText()}".rstrip())
        redo.setText(f"&Redo {stack.redoText()}".rstrip())

    # The panel ---------------------------------------------------------------------------------

    def _catalogue_ready(self, ready: Ready) -> None:
        early, self.catalogue = self.catalogue is None, ready
        self._panel.set_catalogue(ready)
        if early and self.session is not None and self.session.begun:
            self._panel.follow_models()  # what it began with was said before any model was known
            self.session.document.recipe = self._panel.recipe()
        self._layers.set_titles({method.name: method.title for method in ready.methods})
        for broken in ready.broken:
            self._status.say(f"{broken.plugin} could not be used: {broken.error}")

    def _tell_facts(self) -> None:
        document = self.session.document if self.session else None
        has_mask = document is not None and document.mask is not None
        self._panel.set_facts(has_image=document is not None, has_mask=has_mask)

    def _recipe_edited(self) -> None:
        if self.session is not None:
            self.session.edit_recipe(self._panel.recipe())

    def _focus_prompt(self) -> None:
        edit, _layers = self._window.docks
        edit.show()
        edit.raise_()
        self._panel.focus_prompt()

    def _use_settings(self) -> None:
        layer = self._layers.current
        if self.session is not None and layer is not None and layer.edit is not None:
            self.session.run(SetRecipe(layer.edit.recipe, f"Use settings of {layer.name}"))

    def _set_mask(self, make: Callable[[Document], SetMask]) -> None:
        if self.session is not None and not self.session.painting:
            self.session.run(make(self.session.document))
            self._actions["overlay"].setChecked(self.session.document.mask is not None)

    # Runs --------------------------------------------------------------------------------------

    def look(self, looking: bool) -> None:
        """Have previews made only while someone can see them."""
        self._window.jobs.watch(looking)

    def _invert(self) -> None:
        self.runs.invert(self._panel.asked())

    def _run_started(self) -> None:
        self._window.modes.show_picture()
        self._panel.job_started()
        self._status.say("Running. You can keep working; Ctrl+. stops it.")

    def _run_advanced(self, event: Advanced) -> None:
        self._panel.job_advanced(event)
        if event.stage.startswith("Invert"):
            self._show_inversion(f"Inverting {event.step}/{event.total}", "busy")

    def _show_inversion(self, text: str, level: str) -> None:
        self._status.show_inversion(text if self.session else "", level)
        self._panel.set_inversion_status(text, level)

    def _run_ended(self, sentence: str) -> None:
        self._show_inversion(*self._inversion)
        self._canvas.set_preview(None)
        self._panel.job_ended(sentence)
        self._status.say(sentence)

    def _run_failed(self, error: SfumatoError) -> None:
        dialogs.show_error(self._window, error)

    def _run_finished(self, outcome: Outcome) -> None:
        self._status.show_machine(outcome.provenance)
        if outcome.inversion is not None:
            self._inversion = inversion_sentence(outcome.inversion)

    # What the parts tell -----------------------------------------------------------------------

    def _measured(self, measurement: Measurement) -> None:
        self._status.show_measurement(measurement)
        self._layers.set_stale(measurement.stale)

    def _show_zoom(self) -> None:
        self._status.show_zoom(self._canvas.view.zoom if self._canvas.has_document else None)

    def _layer_selected(self) -> None:
        layer = self._layers.current
        for name in ("rerun", "use_settings"):
            self._actions[name].setEnabled(layer is not None and layer.edit is not None)

    def _show_models(self) -> ModelsDialog:
        dialog = ModelsDialog(self._window, self._window.librarian, self._window.preferences.last_folder)
        dialog.chosen.connect(self._panel.choose_model)
        dialog.open()
        return dialog

    def _show_plugins(self) -> None:
        dialogs.show_plugins(self._window, self.catalogue, self._window.panels.broken)
