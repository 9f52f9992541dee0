"""A prompt as plain text: it wraps and grows, marks words, and leaves undo to the window's one stack."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QEvent, QMimeData, QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import (
    QAction,
    QContextMenuEvent,
    QFocusEvent,
    QKeyEvent,
    QKeySequence,
    QResizeEvent,
    QTextCharFormat,
    QTextCursor,
)
from PySide6.QtWidgets import QMenu, QPlainTextEdit, QSizePolicy, QTextEdit

from sfumato.prompts import Word, words
from sfumato_desktop.named import named

LONGEST = 2000
"""Characters a recipe takes."""
_MOST_LINES = 6


class PromptField(QPlainTextEdit):
    """One prompt."""

    edited = Signal()
    """The person changed the text."""
    weigh = Signal(Word, int)
    """The person asked for more (1) or less (-1) of the word under the cursor."""
    heat_wanted = Signal(str)
    """The person wants to see where a word looks."""
    mask_wanted = Signal(str)
    """The person wants a mask of what a word looks at."""

    def __init__(self, name: str, accessible: str, tip: str) -> None:
        super().__init__()
        named(self, name, accessible, tip)
        self.offers_looks = False
        """Whether a word's menu has its heat map and its mask."""
        self.setTabChangesFocus(True)
        self.setUndoRedoEnabled(False)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.document().setDocumentMargin(5)
        self.textChanged.connect(self._changed)
        self._fit()

    def text(self) -> str:
        return self.toPlainText()

    def set_text(self, text: str) -> None:
        """Show a text without `edited`; the cursor stays where it was if nothing changes."""
        if text != self.text():
            with QSignalBlocker(self):
                self.setPlainText(text)
            self._fit()

    def show_marks(self, marks: Iterable[tuple[Word, QTextCharFormat]]) -> None:
        """Draw words in these formats, and all others plain."""
        self.setExtraSelections([self._selection(word, look) for word, look in marks])

    def word_under_cursor(self) -> Word | None:
        at = self.textCursor().position()
        return next((word for word in words(self.text()) if word.start <= at <= word.end), None)

    def event(self, event: QEvent) -> bool:
        """Leave undo and redo to the window, whose one stack covers the prompts too."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            if event.matches(QKeySequence.StandardKey.Undo) or event.matches(QKeySequence.StandardKey.Redo):
                event.ignore()
                return False
            if _weighing(event):
                event.accept()
                return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if not _weighing(event):
            super().keyPressEvent(event)
            return
        event.accept()
        word = self.word_under_cursor()
        if word is not None:
            self.weigh.emit(word, 1 if event.key() == Qt.Key.Key_Up else -1)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """What can be done with the word that was clicked, above the usual entries."""
        if event.reason() == QContextMenuEvent.Reason.Mouse and not self.textCursor().hasSelection():
            self.setTextCursor(self.cursorForPosition(event.pos()))
        self.menu().popup(event.globalPos())

    def menu(self) -> QMenu:
        """The context menu for the word under the cursor."""
        menu = self.createStandardContextMenu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        word, before = self.word_under_cursor(), menu.actions()[0]
        if word is not None and self.offers_looks:
            for title, asked in (
                (f"Show &heat map of “{word.text}”", self.heat_wanted),
                (f"Make &mask from “{word.text}”", self.mask_wanted),
            ):
                action = QAction(title, menu)
                action.triggered.connect(lambda _checked=False, to=asked, text=word.text: to.emit(text))
                menu.insertAction(before, action)
            menu.insertSeparator(before)
        return menu

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        if event.reason() == Qt.FocusReason.ShortcutFocusReason:
            self.selectAll()

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        return source.hasText() and not source.hasUrls()  # a dropped picture belongs to the canvas

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def sizeHint(self) -> QSize:
        return QSize(200, self.height())

    def _changed(self) -> None:
        if len(self.text()) > LONGEST:
            self._cut()
        self._fit()
        self.edited.emit()

    def _cut(self) -> None:
        cursor = QTextCursor(self.document())
        cursor.setPosition(LONGEST)
        cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
        with QSignalBlocker(self):
            cursor.removeSelectedText()

    def _fit(self) -> None:
        """Be as high as the text, within two and six lines."""
        lines = min(max(round(self.document().size().height()), 2), _MOST_LINES)
        frame = 2 * (self.frameWidth() + round(self.document().documentMargin()))
        self.setFixedHeight(lines * self.fontMetrics().lineSpacing() + frame)

    def _selection(self, word: Word, look: QTextCharFormat) -> QTextEdit.ExtraSelection:
        selection = QTextEdit.ExtraSelection()
        cursor = QTextCursor(self.document())
        cursor.setPosition(word.start)
        cursor.setPosition(word.end, QTextCursor.MoveMode.KeepAnchor)
        selection.cursor, selection.format = cursor, look  # pyright: ignore[reportAttributeAccessIssue] # stub
        return selection


def _weighing(event: QKeyEvent) -> bool:
    held = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
    return held == Qt.KeyboardModifier.ControlModifier and event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down)
