"""The models there are: look at them, add and remove, say which one new edits start with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, QSize, Qt, Signal
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMessageBox,
    QPushButton,
    QSplitter,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from sfumato.errors import SfumatoError
from sfumato.models.catalogue import SINGLE_FILE
from sfumato.models.folder import PICKLES
from sfumato.models.shelf import Details, Shelved
from sfumato_desktop import dialogs, icons
from sfumato_desktop.dialogs import Dialog
from sfumato_desktop.download_dialog import DownloadDialog
from sfumato_desktop.librarian import Librarian
from sfumato_desktop.model_page import ModelPage
from sfumato_desktop.named import named, push_button

_SIZE = QSize(800, 500)
_ROLE = Qt.ItemDataRole.UserRole


class ModelsDialog(Dialog):
    """A list at the left, the chosen model at the right. Closing it stops nothing but a hash."""

    chosen = Signal(str)
    """The person wants this model in the edit panel."""

    def __init__(self, parent: QWidget | None, librarian: Librarian, folder: str) -> None:
        """`folder` is where looking for models starts."""
        super().__init__(parent, "models_dialog", "Models")
        self._librarian, self._folder = librarian, folder
        self._models: dict[str, Shelved] = {}
        self.tree = named(QTreeWidget(), "model_list", "Models")
        self.tree.setToolTip("")
        self.tree.setHeaderHidden(True)
        named(self.tree.header(), "model_list_header", "Models: columns")
        self.tree.setRootIsDecorated(False)
        self.tree.setIndentation(12)
        self.page = ModelPage()
        self.said = named(QLabel("Looking at the models…"), "models_said", "What happened", "")
        self.said.setToolTip("")
        self.said.setWordWrap(True)
        self._add_folder = push_button(
            "Add folder…", "model_add_folder", "Use a diffusers folder where it is"
        )
        self._add_file = push_button(
            "Add file…", "model_add_file", "Use a .safetensors checkpoint where it is"
        )
        self._download = push_button(
            "Download…", "model_download", "Fetch a model by its name, if you ask for it"
        )
        self._remove = push_button("Remove…", "model_remove", "Take it off the list")
        self._prefer = push_button("Start with it", "model_prefer", "New edits start with this model")
        self._use = push_button("Use in this edit", "model_use", "Choose it in the edit panel")
        self._lay_out()
        self.tree.setFocus()
        self._connect()
        self._choose()
        if librarian.ready is None:
            self.said.setText("The methods are still being loaded; the models come with them.")
        else:
            librarian.list()

    def show_models(self, models: tuple[Shelved, ...]) -> None:
        """List them anew; the chosen one stays chosen, and its page stays under the person's hands."""
        kept = self.current()
        self._models = {model.name: model for model in models}
        usable, other = ([m for m in models if bool(m.problem) is broken] for broken in (False, True))
        preferred = next((m.name for m in models if m.preferred), next(iter(self._models), ""))
        with QSignalBlocker(self.tree):
            self.tree.clear()
            for title, group in (("Ready to use", usable), ("Cannot be used", other)):
                self._fill(title, group)
            self.tree.expandAll()
            self._select(kept.name if kept and kept.name in self._models else preferred)
        self._choose()
        if not models:
            self.said.setText("There is no model here yet. Add a folder or a file that you have.")
        elif self.said.text().startswith(("Looking", "The methods are still")):
            self.said.clear()

    def current(self) -> Shelved | None:
        """The chosen model."""
        item = self.tree.currentItem()
        return self._models.get(item.data(0, _ROLE)) if item is not None else None

    def _fill(self, title: str, models: list[Shelved]) -> None:
        if not models:
            return
        group = QTreeWidgetItem(self.tree, [title])
        group.setFlags(Qt.ItemFlag.ItemIsEnabled)
        font = group.font(0)
        font.setBold(True)
        group.setFont(0, font)
        for model in models:
            item = QTreeWidgetItem(group, [f"{model.title}  ★" if model.preferred else model.title])
            item.setData(0, _ROLE, model.name)
            item.setToolTip(0, model.problem or str(model.place))
            if model.preferred:
                item.setData(0, Qt.ItemDataRole.AccessibleTextRole, f"{model.title}, new edits start with it")
            if model.problem:
                item.setIcon(0, icons.icon("warning", "warning"))
                reason = QTreeWidgetItem(item, [model.problem])
                reason.setFlags(Qt.ItemFlag.ItemIsEnabled)
                reason.setToolTip(0, model.problem)

    def _select(self, name: str) -> None:
        for group in filter(None, map(self.tree.topLevelItem, range(self.tree.topLevelItemCount()))):
            for number in range(group.childCount()):
                item = group.child(number)
                if item is not None and item.data(0, _ROLE) == name:
                    self.tree.setCurrentItem(item)
                    return

    def _choose(self) -> None:
        model = self.current()
        self.page.show_model(model)
        usable = model is not None and not model.problem
        self._use.setEnabled(usable)
        self._prefer.setEnabled(usable and model is not None and not model.preferred)
        self._remove.setEnabled(model is not None and (model.can_forget or model.can_delete))
        if model is not None and usable:
            self._librarian.inspect(model.name)

    def _show_details(self, details: Details) -> None:
        model = self.current()
        if model is not None and details.model.name == model.name:
            self.page.show_details(details)

    def _ask_for_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Add a model's folder", self._folder)
        if chosen:
            self._librarian.add(Path(chosen))

    def _ask_for_file(self) -> None:
        kinds = f"Checkpoints ({' '.join(f'*{ending}' for ending in (SINGLE_FILE, *sorted(PICKLES)))})"
        chosen, _kind = QFileDialog.getOpenFileName(self, "Add a checkpoint", self._folder, kinds)
        if chosen:
            self._add_file_at(Path(chosen))

    def _add_file_at(self, place: Path) -> None:
        """Use a file where it is; of a pickled one, which could run programs, a safe copy."""
        if place.suffix.lower() not in PICKLES:
            self._librarian.add(place)
            return
        button = QMessageBox.StandardButton
        answer = QMessageBox.question(
            self,
            "Convert checkpoint",
            f"{place.name} is of a kind that can hold programs, so it is not opened as it is.\n"
            "Write a safe copy of its weights? The original stays as it is.",
            button.Yes | button.Cancel,
            button.Yes,
        )
        if answer == button.Yes:
            self.said.setText(f"Converting {place.name}…")
            self._librarian.convert(place)

    def _ask_for_download(self) -> DownloadDialog:
        dialog = DownloadDialog(self, self._librarian.downloads)
        dialog.open()
        return dialog

    def _ask_and_remove(self) -> None:
        model = self.current()
        if model is None:
            return
        what = (
            f"Delete the files of {model.title}?\n{model.place}"
            if model.can_delete
            else f"Take {model.title} off the list? Its files stay where they are."
        )
        button = QMessageBox.StandardButton
        answer = QMessageBox.question(self, "Remove model", what, button.Yes | button.Cancel, button.Cancel)
        if answer == button.Yes:
            self._librarian.remove(model.name, files=model.can_delete)

    def _show_error(self, error: SfumatoError) -> None:
        dialogs.show_error(self, error)

    def _with_current(self, act: Callable[[str], None]) -> None:
        model = self.current()
        if model is not None:
            act(model.name)

    def _take(self, name: str) -> None:
        self.chosen.emit(name)
        self.accept()

    def _connect(self) -> None:
        librarian = self._librarian
        librarian.listed.connect(self.show_models)
        librarian.detailed.connect(self._show_details)
        librarian.hashed.connect(self.page.show_hash)
        librarian.said.connect(self.said.setText)
        librarian.failed.connect(self._show_error)
        self.tree.currentItemChanged.connect(self._choose)
        self._add_folder.clicked.connect(self._ask_for_folder)
        self._add_file.clicked.connect(self._ask_for_file)
        self._download.clicked.connect(self._ask_for_download)
        self._remove.clicked.connect(self._ask_and_remove)
        self._prefer.clicked.connect(lambda: self._with_current(librarian.prefer))
        self._use.clicked.connect(lambda: self._with_current(self._take))
        self.page.hash_wanted.connect(librarian.fingerprint)
        self.page.defaults_edited.connect(librarian.set_defaults)

    def _lay_out(self) -> None:
        left, split = QWidget(), QSplitter()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.tree, 1)
        column.addLayout(_row(self._add_folder, self._add_file))
        column.addLayout(_row(self._download, self._remove))
        split.addWidget(left)
        split.addWidget(self.page)
        split.setStretchFactor(1, 1)
        split.setSizes([310, 430])
        split.setChildrenCollapsible(False)
        self.body.addWidget(split, 1)
        self.body.addWidget(self.said)
        for button in (self._prefer, self._use):
            button.setAutoDefault(False)
            self.buttons.addButton(button, self.buttons.ButtonRole.ActionRole)
        self.resize(_SIZE.boundedTo(self.screen().availableSize()))


def _row(*buttons: QPushButton) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(6)
    for button in buttons:
        button.setAutoDefault(False)
        row.addWidget(button)
    row.addStretch(1)
    return row
