"""Zooming holds the point under the cursor, and the picture cannot be lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPointF, QRectF, QSizeF

from sfumato_desktop.canvas_view import LADDER, View, mip_level

spot = st.tuples(st.floats(0, 800), st.floats(0, 600)).map(lambda point: QPointF(*point))


def _view(ratio: float = 1.0) -> View:
    view = View(QSizeF(3000, 2000), QSizeF(800, 600), ratio)
    view.fit()
    return view


def _inside(point: QPointF) -> bool:
    return 0 <= point.x() <= 3000 and 0 <= point.y() <= 2000


@given(at=spot, zoom=st.floats(0.5, 16), ratio=st.sampled_from([1.0, 1.5, 2.0]))
def test_zoom_keeps_the_point_under_the_cursor(at: QPointF, zoom: float, ratio: float) -> None:
    view = _view(ratio)
    fixed = view.to_document(at)
    view.zoom_to(zoom, at)
    if _inside(fixed) and view.centre is not None and _inside(view.centre):
        clamped = view.centre.x() in (0, 3000) or view.centre.y() in (0, 2000)
        moved = view.to_document(at) - fixed
        assert clamped or abs(moved.x()) + abs(moved.y()) <= 2 / view.zoom, "within a screen pixel"


@given(by=st.tuples(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5)))
def test_panning_never_loses_the_picture(by: tuple[float, float]) -> None:
    view = _view()
    view.pan(QPointF(*by))
    seen = view.to_widget(QRectF(0, 0, 3000, 2000)).adjusted(-1, -1, 1, 1)
    assert seen.contains(QPointF(400, 300)), "the middle of the window shows some of the picture"


@pytest.mark.parametrize("ratio", [1.0, 1.5, 2.0])
def test_100_percent_is_one_screen_pixel_per_picture_pixel(ratio: float) -> None:
    view = _view(ratio)
    view.zoom_to(1.0, QPointF(400, 300))
    first, next_one = view.transform().map(QPointF(0, 0)), view.transform().map(QPointF(1, 0))
    assert (next_one.x() - first.x()) * ratio == pytest.approx(1)
    assert first.x() * ratio == pytest.approx(round(first.x() * ratio)), "and sits on a whole one"


def test_a_fitted_picture_stays_fitted_when_the_window_grows() -> None:
    view = _view()
    small = view.zoom
    view.resize(QSizeF(1600, 1200), 1.0)
    assert view.zoom > small
    view.zoom_to(1.0, QPointF(0, 0))
    view.resize(QSizeF(800, 600), 1.0)
    assert view.zoom == 1.0


def test_the_ladder_goes_up_and_down_the_same_rungs() -> None:
    view = _view()
    view.zoom_to(LADDER[0], QPointF(400, 300))
    seen = [view.zoom]
    for _ in LADDER[1:]:
        view.step(1, QPointF(400, 300))
        seen.append(view.zoom)
    assert seen == pytest.approx(list(LADDER))
    view.step(-1, QPointF(400, 300))
    assert view.zoom == pytest.approx(LADDER[-2])


@pytest.mark.parametrize(
    ("zoom", "level"), [(2, 0), (1, 0), (0.6, 0), (0.5, 1), (0.3, 1), (0.25, 2), (0.01, 3)]
)
def test_less_than_a_factor_of_two_is_left_to_the_painter(zoom: float, level: int) -> None:
    assert mip_level(zoom, 4) == level
