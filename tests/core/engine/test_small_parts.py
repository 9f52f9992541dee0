"""Time left, settings, and what may be imported by whom."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sfumato.errors import InputError, StorageError
from sfumato.pace import Advance, Pace
from sfumato.settings import Settings, load_settings, save_settings
from sfumato.workshop import go_offline


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def advance(step: int, phase: Any = "edit", ahead: Any = (), total: int = 10) -> Advance:
    return Advance(step, total, "stage", phase=phase, ahead=ahead)


def test_time_left_is_steps_left_at_the_measured_pace() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.begin()
    assert pace.seconds_left(advance(1)) is None
    clock.now += 2
    assert pace.seconds_left(advance(2)) == pytest.approx(16)


def test_phases_ahead_count_as_this_one_until_they_are_known() -> None:
    clock = Clock()
    pace = Pace(clock)
    ahead = (("edit", 5), ("decode", 1))
    for step in (1, 2):
        clock.now += 1
        left = pace.seconds_left(advance(step, "inversion", ahead))
    assert left == pytest.approx(8 + 5 + 1)
    for step in (1, 2):
        clock.now += 3
        pace.seconds_left(advance(step, "edit", (("decode", 1),)))
    pace.begin()
    clock.now += 100
    pace.seconds_left(advance(1, "inversion", ahead))
    clock.now += 1
    assert pace.seconds_left(advance(2, "inversion", ahead)) == pytest.approx(8 + 5 * 3 + 1)


def test_the_pause_between_phases_and_jobs_is_not_a_step() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.seconds_left(advance(1, "loading"))
    clock.now += 50
    assert pace.seconds_left(advance(1, "edit")) is None


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_one_variable_moves_all_folders(home: Path) -> None:
    settings = load_settings()
    assert (settings.data_dir, settings.cache_dir, settings.state_dir) == (
        home / "data", home / "cache", home / "state",
    )  # fmt: skip


def test_settings_come_back_and_keep_no_folder(home: Path) -> None:
    save_settings(load_settings().changed(threads=3, precision="bf16", models=[Path("/somewhere")]))
    again = load_settings()
    assert (again.threads, again.precision, again.models) == (3, "bf16", (Path("/somewhere"),))
    assert str(home) not in again.path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{", '{"threads": 0}', '{"unknown": 1}', '{"threads": "many"}']
)
def test_settings_nobody_understands_are_left_alone(
    home: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = load_settings().path
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    assert load_settings().precision == "auto"
    assert "not used" in caplog.text
    assert path.read_text(encoding="utf-8") == text


def test_a_setting_that_cannot_be_is_a_sentence(settings: Settings) -> None:
    with pytest.raises(InputError, match="'threads' cannot be 0"):
        settings.changed(threads=0)


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    blocked = Settings(data_dir=tmp_path / "file" / "data", cache_dir=tmp_path, state_dir=tmp_path)
    with pytest.raises(StorageError):
        save_settings(blocked)


def test_threads_follow_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert load_settings().threads == 5
    monkeypatch.setenv("OMP_NUM_THREADS", "none")
    assert load_settings().threads >= 1


def test_nothing_light_imports_anything_heavy() -> None:
    program = """
import json, sys
import sfumato, sfumato.compose, sfumato.engine, sfumato.cli, sfumato.files.openraster
heavy = {"torch", "diffusers", "transformers", "safetensors", "accelerate", "PySide6", "rich"}
print(json.dumps(sorted(heavy & sys.modules.keys())))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_the_libraries_are_told_to_stay_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setattr(os, "environ", {"HF_HUB_OFFLINE": "0"})
    go_offline()
    assert os.environ["HF_HUB_OFFLINE"] == os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"
