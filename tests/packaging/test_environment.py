"""What stands installed: nothing that is known to break the program, and the entry points lead somewhere."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import distributions, entry_points, version
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DECLARED = {("console_scripts", name, value) for name, value in PROJECT["scripts"].items()} | {
    (group, name, value)
    for group, entries in PROJECT["entry-points"].items()
    for name, value in entries.items()
}
INSTALLED = {canonicalize_name(found.metadata["Name"]) for found in distributions()}

# These may import torch: they are loaded on the engine thread.
HEAVY = ("core/sfumato/diffusion/", "core/sfumato/models/", "plugins/sfumato_plugins/")
LIGHT_ALL_THE_SAME = (
    "plugins/sfumato_plugins/panels/",
    *(
        f"core/sfumato/models/{name}.py"
        for name in ("catalogue", "conversion", "details", "download", "fingerprint", "places", "shelf")
    ),
)


def light_modules() -> list[str]:
    names = []
    for source_root in ("core", "desktop", "plugins", "resources"):
        for path in sorted((ROOT / source_root).rglob("*.py")):
            place = path.relative_to(ROOT).as_posix()
            if place.startswith(HEAVY) and not place.startswith(LIGHT_ALL_THE_SAME):
                continue
            parts = path.relative_to(ROOT / source_root).with_suffix("").parts
            names.append(".".join(part for part in parts if part != "__init__"))
    return names


def test_torchvision_is_absent():
    # The registry's build does not fit the CPU build of torch, and then transformers no longer imports.
    assert "torchvision" not in INSTALLED


def test_only_the_essentials_of_qt_are_installed():
    assert {name for name in INSTALLED if name.startswith("pyside6")} == {"pyside6-essentials"}
    # Builds of OpenCV with windows bring Qt 5 plugins that PySide6 then loads; two builds share one folder.
    assert {name for name in INSTALLED if name.startswith("opencv")} == {"opencv-python-headless"}


def test_void_qt_calls_keep_the_reference_count_of_none():
    # PySide6 6.12.0 on Python 3.11 takes one reference from None per call, until the process dies.
    from PySide6.QtGui import QImage, QPainter

    image = QImage(4, 4, QImage.Format.Format_ARGB32)
    painter = QPainter(image)
    before = sys.getrefcount(None)
    for _ in range(1000):
        painter.setOpacity(1.0)
    after = sys.getrefcount(None)
    painter.end()
    assert after - before > -500


def test_light_modules_do_not_import_torch():
    heavy = "{'torch', 'diffusers', 'transformers'}"
    program = "import importlib, sys\n" + "".join(
        f"importlib.import_module({name!r})\nassert not {heavy} & set(sys.modules), {name!r}\n"
        for name in light_modules()
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("group", "name", "value"), sorted(DECLARED))
def test_entry_points_name_modules_that_exist(group: str, name: str, value: str):
    place = value.partition(":")[0].split(".")
    for depth in range(1, len(place) + 1):
        assert find_spec(".".join(place[:depth])) is not None, ".".join(place[:depth])


def test_entry_points_are_installed_as_declared():
    groups = {group for group, _, _ in DECLARED}
    installed = {
        (point.group, point.name, point.value)
        for group in groups
        for point in entry_points(group=group)
        if point.dist is not None and point.dist.name == "sfumato"
    }
    assert installed == DECLARED


def test_the_installed_version_is_the_declared_one():
    assert version("sfumato") == PROJECT["version"]
