"""The command line, run in this process, with a home of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from sfumato.cli import app

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `sfumato` with these words, in a folder that holds `in.png`; returns click's result."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (8, 9, 3), np.uint8)
    Image.fromarray(coarse).resize((144, 128), Image.Resampling.BICUBIC).save("in.png")

    def call(*words: object) -> Any:
        return CliRunner().invoke(app, [str(word) for word in words])

    return call


@pytest.fixture
def edit(run: Run) -> Run:
    """Run a small edit of `in.png` to `out.png`; more words are appended, and win."""
    words = (
        "edit",
        "in.png",
        "-o",
        "out.png",
        "--source",
        "a red apple",
        "--target",
        "a green apple",
        "--steps",
        2,
    )
    return lambda *more: run(*words, "--threads", 1, *more)
