"""Run-length masks: what is encoded comes back, what is wrong is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sfumato.benchmark.masks import decode_runs, encode_runs, framed
from sfumato.errors import InputError


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_an_area_comes_back_from_its_runs(area: np.ndarray) -> None:
    runs = encode_runs(area)
    assert np.array_equal(decode_runs(runs, (area.shape[1], area.shape[0])), area)
    starts, lengths = runs[::2], runs[1::2]
    assert all(lengths), "an empty run says nothing"
    gaps = [b - (a + n) for a, n, b in zip(starts, lengths, starts[1:], strict=False)]
    assert all(gap > 0 for gap in gaps), "two runs that touch are one"


def test_runs_go_along_the_rows() -> None:
    assert decode_runs([1, 3], (3, 2)).tolist() == [[False, True, True], [True, False, False]]
    assert encode_runs(np.zeros((2, 3), np.bool_)) == ()


def test_a_run_that_is_too_long_ends_with_the_picture() -> None:
    assert decode_runs([4, 100], (3, 2)).sum() == 2


@pytest.mark.parametrize(
    ("runs", "why"),
    [
        ([0, 1, 2], "3 numbers"),
        ([6, 1], "starts at 6; the picture ends at 5"),
        ([0, -1], "below 0"),
        ([0.0, 1], "whole numbers"),
        ([True, 1], "whole numbers"),
        ("0 1", "whole numbers"),
        (None, "whole numbers"),
    ],
)
def test_what_is_no_mask_is_refused(runs: object, why: str) -> None:
    with pytest.raises(InputError, match=why):
        decode_runs(runs, (3, 2))  # pyright: ignore[reportArgumentType]


@given(st.integers(1, 6), st.integers(1, 6))
def test_the_frame_is_one_pixel_wide(height: int, width: int) -> None:
    area = framed(np.zeros((height, width), np.bool_))
    assert (~area).sum() == max(height - 2, 0) * max(width - 2, 0)
