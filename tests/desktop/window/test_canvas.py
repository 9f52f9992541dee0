"""What the canvas shows is the document, and what the hand does reaches the mask."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QImage, QWheelEvent
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from sfumato.document.commands import AddLayer, SetOpacity
from sfumato.document.compositor import flatten
from sfumato.document.layers import EditInfo, Layer
from sfumato.method import Recipe
from sfumato_desktop import images
from sfumato_desktop.window import MainWindow


def _shown(window: MainWindow) -> np.ndarray:
    """The document's pixels as they are on the screen, at 100 %."""
    canvas = window.canvas
    canvas.zoom_to(1.0)
    canvas.tools.point_at(None)
    grabbed: QImage = canvas.grab().toImage()
    corner = canvas.view.transform().map(QPointF(0, 0)).toPoint()
    document = canvas.open_session.document
    part = grabbed.copy(corner.x(), corner.y(), document.width, document.height)
    return images.from_image(part)[..., :3]


def _at(window: MainWindow, x: float, y: float) -> QPoint:
    return window.canvas.view.transform().map(QPointF(x, y)).toPoint()


def _edit(pixels: np.ndarray, left: int = 0, top: int = 0) -> Layer:
    info = EditInfo(Recipe(), None, {}, (pixels,), 0, "")
    return Layer("edit", pixels, left, top, edit=info)


def _stroke(qtbot: QtBot, window: MainWindow, *points: tuple[int, int]) -> None:
    canvas, spots = window.canvas, [_at(window, *point) for point in points]
    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=spots[0])
    for spot in spots:
        qtbot.mouseMove(canvas, spot)
    qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=spots[-1])


def test_at_100_percent_the_screen_shows_the_documents_own_pixels(
    opened: MainWindow, pixels: np.ndarray
) -> None:
    assert np.array_equal(_shown(opened), pixels[..., :3])


def test_changes_are_shown_and_the_original_stays_exact(
    opened: MainWindow, qtbot: QtBot, pixels: np.ndarray
) -> None:
    session = opened.canvas.open_session
    session.run(AddLayer(_edit(np.full((20, 30, 4), 255, np.uint8), 10, 5)))
    assert np.array_equal(_shown(opened), flatten(session.document)[..., :3])
    session.run(SetOpacity(session.document.layers[1].id, 0.5))
    assert np.array_equal(_shown(opened), flatten(session.document)[..., :3])
    qtbot.keyPress(opened.canvas, Qt.Key.Key_QuoteLeft)
    assert opened.canvas.scene.show_before
    opened.canvas.scene.show_before = True
    label = slice(0, 40)  # the word "Before" lies over the corner
    before = _shown(opened)
    assert np.array_equal(before[label.stop :], pixels[label.stop :, :, :3])
    qtbot.keyRelease(opened.canvas, Qt.Key.Key_QuoteLeft)
    assert not opened.canvas.scene.show_before


def test_the_wipe_shows_before_to_the_left_and_after_to_the_right(
    opened: MainWindow, qtbot: QtBot, pixels: np.ndarray
) -> None:
    session = opened.canvas.open_session
    session.run(AddLayer(_edit(np.full((96, 128, 4), 255, np.uint8))))
    opened.registry["wipe"].setChecked(True)
    row = _shown(opened)[80]
    assert np.array_equal(row[:60], pixels[80, :60, :3])
    assert (row[68:] == 255).all()
    _stroke(qtbot, opened, (64, 90), (32, 90))
    assert opened.canvas.scene.divider is not None
    assert abs(opened.canvas.scene.divider - 0.25) < 0.02
    opened.registry["wipe"].setChecked(False)
    assert (_shown(opened)[80] == 255).all()


def test_painting_and_erasing_the_mask_are_undoable_steps(opened: MainWindow, qtbot: QtBot) -> None:
    session = opened.canvas.open_session
    opened.canvas.tools.brush.set_size(20)
    qtbot.keyClick(opened.canvas, Qt.Key.Key_B)
    assert opened.canvas.scene.show_overlay, "the brush brings the overlay"
    _stroke(qtbot, opened, (30, 40), (60, 40))
    mask = session.document.mask
    assert mask is not None
    assert (mask[40, 45], mask[80, 100]) == (255, 0)
    qtbot.keyClick(opened.canvas, Qt.Key.Key_E)
    _stroke(qtbot, opened, (45, 40), (46, 40))
    assert session.document.mask is not None
    assert session.document.mask[40, 45] == 0
    opened.registry["undo"].trigger()
    assert session.document.mask[40, 45] == 255
    opened.registry["undo"].trigger()
    assert session.document.mask is None
    assert session.undo_stack.redoText() == "Paint mask"


def test_the_mask_is_tinted_and_the_backslash_hides_it(
    opened: MainWindow, qtbot: QtBot, pixels: np.ndarray
) -> None:
    opened.registry["select_all"].trigger()
    assert not np.array_equal(_shown(opened), pixels[..., :3])
    qtbot.keyClick(opened.canvas, Qt.Key.Key_Backslash)
    assert np.array_equal(_shown(opened), pixels[..., :3])


def test_quick_mask_goes_between_painting_and_moving(opened: MainWindow, qtbot: QtBot) -> None:
    tools = opened.canvas.tools
    qtbot.keyClick(opened.canvas, Qt.Key.Key_Q)
    assert tools.tool == "brush"
    qtbot.keyClick(opened.canvas, Qt.Key.Key_Q)
    assert tools.tool == "hand"
    assert not opened.canvas.scene.show_overlay


def test_select_all_none_and_invert(opened: MainWindow) -> None:
    document = opened.canvas.open_session.document
    opened.registry["select_invert"].trigger()
    assert document.mask is not None
    assert not document.mask.any(), "without a mask everything may change; inverted, nothing"
    opened.registry["select_all"].trigger()
    assert document.mask is not None
    assert document.mask.min() == 255
    opened.registry["select_none"].trigger()
    assert document.mask is None


def test_brackets_change_the_brush_and_only_while_the_canvas_has_the_keyboard(
    opened: MainWindow, qtbot: QtBot
) -> None:
    brush = opened.canvas.tools.brush
    size, hardness = brush.size, brush.hardness
    qtbot.keyClick(opened.canvas, Qt.Key.Key_BracketRight)
    assert brush.size > size
    qtbot.keyClick(opened.canvas, Qt.Key.Key_BracketLeft)
    assert brush.size == size
    qtbot.keyClick(opened.canvas, Qt.Key.Key_BraceLeft, Qt.KeyboardModifier.ShiftModifier)
    assert brush.hardness < hardness
    opened.panel.focus_prompt()
    typed = QApplication.focusWidget()
    for key in (Qt.Key.Key_B, Qt.Key.Key_BracketRight):
        qtbot.keyClick(typed, key)
    assert (opened.canvas.tools.tool, brush.size) == ("hand", size)
    assert opened.panel.recipe().target.lower() == "b]"
    qtbot.keyClick(typed, Qt.Key.Key_Escape)
    assert opened.canvas.hasFocus()


def test_ctrl_enter_runs_from_the_canvas_and_from_a_prompt(opened: MainWindow, qtbot: QtBot) -> None:
    asked: list[QWidget | None] = []
    opened.registry["run"].triggered.connect(lambda: asked.append(QApplication.focusWidget()))
    opened.panel.focus_prompt()
    for _ in range(2):
        focused = QApplication.focusWidget()
        qtbot.keyClick(focused, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
        assert asked.pop() is focused
        opened.canvas.setFocus()
    assert "\n" not in opened.panel.recipe().target


def test_shift_drag_scrubs_size_and_hardness_and_paints_nothing(opened: MainWindow, qtbot: QtBot) -> None:
    canvas, brush = opened.canvas, opened.canvas.tools.brush
    opened.registry["brush"].setChecked(True)
    brush.set_size(40)
    brush.set_hardness(0.5)
    start = _at(opened, 40, 40)
    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier, start)
    canvas.tools.move(QPointF(start + QPoint(50, -40)))
    qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=start)
    assert brush.size == round(40 + 100 / canvas.view.scale)
    assert brush.hardness == 0.7
    assert canvas.open_session.document.mask is None


def test_space_and_the_middle_button_move_the_view(opened: MainWindow, qtbot: QtBot) -> None:
    canvas = opened.canvas
    opened.registry["brush"].setChecked(True)
    canvas.zoom_to(8)
    for button, key in ((Qt.MouseButton.LeftButton, Qt.Key.Key_Space), (Qt.MouseButton.MiddleButton, None)):
        before = canvas.view.transform().map(QPointF(0, 0))
        if key:
            qtbot.keyPress(canvas, key)
        qtbot.mousePress(canvas, button, pos=QPoint(200, 200))
        canvas.tools.move(QPointF(230, 210))
        qtbot.mouseRelease(canvas, button, pos=QPoint(230, 210))
        if key:
            qtbot.keyRelease(canvas, key)
        assert canvas.view.transform().map(QPointF(0, 0)) - before == QPointF(30, 10)
    assert canvas.open_session.document.mask is None


def test_the_wheel_zooms_at_the_cursor(opened: MainWindow) -> None:
    canvas, spot = opened.canvas, QPointF(300, 200)
    zoom, fixed = canvas.view.zoom, canvas.view.to_document(spot)
    canvas.wheelEvent(
        QWheelEvent(
            spot,
            QPointF(canvas.mapToGlobal(spot)),
            QPoint(),
            QPoint(0, 120),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
    )
    assert canvas.view.zoom > zoom
    moved = canvas.view.to_document(spot) - fixed
    assert abs(moved.x()) + abs(moved.y()) < 2 / canvas.view.zoom
    assert opened.status.zoom.text() == f"{canvas.view.zoom * 100:.3g} %"
    opened.registry["zoom_200"].trigger()
    assert canvas.view.zoom == 2
    opened.registry["fit"].trigger()
    assert canvas.view.fitted
