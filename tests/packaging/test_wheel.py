"""The wheel: builds, and holds everything the installed program needs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("sfumato-*-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_every_file_of_the_packages_is_in_the_wheel(names: set[str]):
    expected = {
        path.relative_to(source_root).as_posix()
        for source_root in (ROOT / name for name in ("core", "desktop", "plugins", "resources"))
        for path in source_root.glob("*/**/*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".part"
    }
    expected = {name for name in expected if not name.startswith("methods/")}  # pages to read, as README.md
    assert len(expected) > 50
    assert expected - names == set()


def test_nothing_else_is_in_the_wheel(names: set[str]):
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"sfumato", "sfumato_desktop", "sfumato_plugins", "sfumato_resources"}


def test_model_samples_icons_and_licences_are_in_the_wheel(names: set[str]):
    resources = "sfumato_resources"
    assert {
        f"{resources}/starter/unet/diffusion_pytorch_model.safetensors",
        f"{resources}/starter/MODEL_CARD.md",
        f"{resources}/samples/index.json",
        f"{resources}/icons/sfumato.svg",
        f"{resources}/licences/fluent-emoji.txt",
    } <= names
    information = {name.partition(".dist-info/")[2] for name in names if ".dist-info/" in name}
    assert {"METADATA", "entry_points.txt", "licenses/LICENSE"} <= information
