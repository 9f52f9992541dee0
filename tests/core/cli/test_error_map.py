"""`sfumato invert --error-map`: a picture of where the inversion is off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Run = Callable[..., Any]
WORDS = ("invert", "in.png", "--source", "a red apple", "--steps", 2, "--threads", 1)


@pytest.mark.parametrize("name", ["errors.png", "errors.jpg"])
def test_it_is_written_at_the_models_size(name: str, run: Run) -> None:
    result = run(*WORDS, "--inverter", "naive", "--error-map", name)
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"Wrote {name}" in result.stdout
    assert "dB" in result.stdout
    with Image.open(name) as image:
        colours = np.asarray(image.convert("RGB"))
    assert min(colours.shape[:2]) == 128
    assert len(np.unique(colours.reshape(-1, 3), axis=0)) > 20


def test_a_place_it_cannot_go_is_refused_before_anything_is_run(run: Run) -> None:
    result = run(*WORDS, "--error-map", "nowhere/errors.png")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "nowhere" in result.stderr
    assert not Path("home").exists() or not list(Path("home").rglob("*.safetensors"))
