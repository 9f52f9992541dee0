"""Desktop entry, metadata, file type and icons, checked by the tools distributions use."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import defusedxml.ElementTree as ElementTree
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
LINUX = ROOT / "packaging" / "linux"
APP_ID = "org.sfumato.Sfumato"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def run(*command: str) -> str:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_desktop_entry_validates():
    assert run("desktop-file-validate", str(LINUX / f"{APP_ID}.desktop")) == ""


def test_metainfo_validates():
    run("appstreamcli", "validate", "--no-net", str(LINUX / f"{APP_ID}.metainfo.xml"))


def test_metainfo_has_the_projects_version_and_the_entrys_name():
    component = ElementTree.parse(LINUX / f"{APP_ID}.metainfo.xml").getroot()
    assert component.findtext("id") == APP_ID
    assert component.findtext("launchable") == f"{APP_ID}.desktop"
    assert component.find("releases/release").get("version") == VERSION


def test_openraster_is_declared_and_opened():
    declared = ElementTree.parse(LINUX / f"{APP_ID}-mime.xml").getroot()
    namespace = "{http://www.freedesktop.org/standards/shared-mime-info}"
    assert declared.find(f"{namespace}mime-type").get("type") == "image/openraster"
    assert "image/openraster;" in (LINUX / f"{APP_ID}.desktop").read_text(encoding="utf-8")


def test_icons_have_the_size_their_folder_says():
    icons = sorted((LINUX / "icons" / "hicolor").glob("*x*/apps/*.png"))
    assert {path.name for path in icons} == {f"{APP_ID}.png"}
    sizes = set()
    for path in icons:
        with Image.open(path) as icon:
            assert path.parts[-3] == f"{icon.width}x{icon.height}"
            assert icon.mode == "RGBA"
            assert icon.getpixel((0, 0))[3] == 0  # rounded corners
            sizes.add(icon.width)
    assert {16, 24, 32, 48, 64, 128, 256, 512} <= sizes


def test_the_window_shows_the_same_icon():
    ours = (ROOT / "resources" / "sfumato_resources" / "icons" / "sfumato.svg").read_bytes()
    assert (LINUX / "icons" / "hicolor" / "scalable" / "apps" / f"{APP_ID}.svg").read_bytes() == ours


def test_the_window_is_known_to_the_desktop_by_the_entrys_name():
    # Wayland finds the entry by this name, X11 by the class, which is the application's name.
    app = (ROOT / "desktop" / "sfumato_desktop" / "app.py").read_text(encoding="utf-8")
    assert f'setDesktopFileName("{APP_ID}")' in app
    name = re.search(r'setApplicationName\("(\w+)"\)', app)
    assert name is not None
    entry = (LINUX / f"{APP_ID}.desktop").read_text(encoding="utf-8")
    assert f"StartupWMClass={name[1]}\n" in entry
