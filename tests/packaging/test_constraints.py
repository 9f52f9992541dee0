"""The pins: complete for what pyproject.toml asks for, and free of anything bound to one machine."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TEXT = (ROOT / "packaging" / "constraints.txt").read_text(encoding="utf-8")
LINES = [line for line in TEXT.splitlines() if line and not line.startswith("#")]
PINS = {canonicalize_name(pin.name): pin for pin in map(Requirement, LINES)}
ASKED = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]


def pinned(name: str) -> str:
    (specifier,) = PINS[canonicalize_name(name)].specifier
    assert specifier.operator == "=="
    return specifier.version


def test_torch_is_pinned_without_a_local_build_tag():
    assert pinned("torch") == "2.13.0"
    assert not re.search(r"\+c(pu|u\d)", TEXT)


def test_no_package_that_breaks_or_binds_the_environment():
    unwanted = re.compile(
        r"nvidia-|cuda-|triton|torchvision|torchaudio|opencv(?!-python-headless$)|pyside6$|pyside6-addons"
    )
    assert [name for name in PINS if unwanted.match(name)] == []


def test_no_addresses_or_paths():
    assert [line for line in LINES if re.search(r"://|@|/|^-", line)] == []


def test_every_line_pins_one_version_and_none_twice():
    assert len(PINS) == len(LINES)
    for name in PINS:
        pinned(name)


@pytest.mark.parametrize("requirement", ASKED)
def test_every_requirement_is_pinned_inside_its_range(requirement: str):
    asked = Requirement(requirement)
    if asked.marker and not asked.marker.evaluate({"python_version": "3.11"}):
        pytest.skip("this line is for another Python")
    assert asked.specifier.contains(pinned(asked.name))


def test_qt_is_held_back_only_where_it_is_broken():
    for name in ("pyside6-essentials", "shiboken6"):
        assert str(PINS[name].marker) == 'python_version < "3.12"'
        assert pinned(name).startswith("6.11.")
