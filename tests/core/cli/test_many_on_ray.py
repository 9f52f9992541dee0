"""Edits on a local Ray cluster of two workers, one of which is killed while it works."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

EDIT = (sys.executable, "-c", "from sfumato.cli import main; main()", "edit", "in", "--threads", "1")
PROMPTS = ("--source", "a red apple", "--target", "a green apple", "--steps", "20")


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for seed in range(4):
        coarse = np.random.default_rng(seed).integers(0, 256, (8, 9, 3), np.uint8)
        Image.fromarray(coarse).resize((144, 128), Image.Resampling.BICUBIC).save(f"in/{seed}.png")


def begin(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*EDIT, *PROMPTS, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )


def working(run: subprocess.Popen[Any]) -> list[psutil.Process]:
    """The workers of a run that are at a task; Ray names them after it."""
    found = psutil.Process(run.pid).children(recursive=True)
    return [
        each
        for each in found
        if each.status() != psutil.STATUS_ZOMBIE and each.cmdline()[:1] == ["ray::done"]
    ]


def out(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def test_a_killed_worker_loses_nothing_and_the_bits_are_the_same() -> None:
    run = begin("-o", "there", "--ray", "local")
    while len(workers := working(run)) < 2:
        assert run.poll() is None
        time.sleep(0.1)
    time.sleep(1)
    workers[0].kill()
    said, errors = run.communicate()
    print(said, errors)
    assert run.returncode == 0, errors
    assert said.splitlines()[-1] == "4 of 4 edited."
    assert "killed while executing a task" in said + errors, "Ray says that it lost one"

    run = begin("-o", "here")
    assert run.communicate()[0].splitlines()[-1] == "4 of 4 edited."
    assert out("here") == out("there")
    run = begin("-o", "there", "--ray", "local")
    assert run.communicate()[0] == "0 of 4 edited, 4 were already there.\n"
