"""The tree: packages the wheel knows, files free of one machine's names, a README that lists every module."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
SOURCE_ROOTS = ("core", "desktop", "plugins", "resources")

# Put together here, so that this file does not hold what it looks for.
FOREIGN = re.compile(
    "|".join(
        [
            "/" + r"(work|root)/\w",
            "/" + r"opt/(wheels|pypi)",
            "pypi" + r"\.org|files\.python" + "hosted",
            "registry" + r"\.npm",
            r"(deb|ftp)\." + "debian",
            "download" + r"\.pytorch",
        ]
    )
)


def tracked_files() -> list[Path]:
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def listed_modules() -> set[str]:
    """The paths under "Map of the code": a bold folder, then one item per module."""
    folder, found = "", set()
    for line in README.partition("## Map of the code")[2].partition("\n## ")[0].splitlines():
        if heading := re.match(r"\*\*`(.+/)`\*\*", line):
            folder = heading[1]
        elif item := re.match(r"- `(.+\.py)`: \S", line):
            found.add(folder + item[1])
    return found


def modules() -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for source_root in (*SOURCE_ROOTS, "packaging")
        for path in (ROOT / source_root).rglob("*.py")
        if path.name != "__init__.py"
    }


def test_every_package_is_in_the_wheel():
    packages = {
        path.parent.relative_to(ROOT).as_posix()
        for source_root in SOURCE_ROOTS
        for path in (ROOT / source_root).glob("*/__init__.py")
    }
    build = CONFIG["tool"]["hatch"]["build"]
    assert packages == set(build["targets"]["wheel"]["only-include"])
    assert set(build["dev-mode-dirs"]) == set(build["targets"]["wheel"]["sources"]) == set(SOURCE_ROOTS)


def test_no_tracked_file_names_a_machine_or_a_registry():
    found = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {hit[0]}" for hit in FOREIGN.finditer(text)]
    assert found == []


def test_no_tracked_file_is_a_pickle_of_weights():
    assert [path.name for path in tracked_files() if path.suffix in {".bin", ".pt", ".ckpt", ".pkl"}] == []


def test_the_type_checker_exempts_nothing():
    settings = CONFIG["tool"]["pyright"]
    assert set(SOURCE_ROOTS) <= set(settings["include"])
    assert settings["typeCheckingMode"] in {"standard", "strict", "recommended", "all"}
    switched_off = {name for name, value in settings.items() if value in (False, "none", "information")}
    assert switched_off <= {"reportMissingTypeStubs"}
    assert not settings.keys() & {"exclude", "ignore", "strict", "executionEnvironments"}


def test_no_module_of_core_and_plugins_is_exempt():
    blanket = re.compile(r"# (type: ignore(?!\[)|pyright: (?!ignore\[)|ruff: noqa|noqa(?!:))|mypy: ")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for source_root in ("core", "plugins")
        for path in sorted((ROOT / source_root).rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if blanket.search(line)
    ]
    assert found == []


def test_the_readme_maps_every_module():
    missing, gone = sorted(modules() - listed_modules()), sorted(listed_modules() - modules())
    advice = "run packaging/readme_map.py"
    assert not missing, f"not in the README's map of the code ({advice}): {', '.join(missing)}"
    assert not gone, f"in the README's map of the code, but not in the tree ({advice}): {', '.join(gone)}"


def test_the_readme_and_ci_use_the_same_command():
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").rstrip().endswith("exec packaging/test.sh")
    for command in ("packaging/run.sh", "packaging/test.sh"):
        assert f"\n{command}\n" in README
        assert (ROOT / command).stat().st_mode & 0o111 == 0o111


def test_pictures_the_readme_shows_exist():
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", README)
    assert pictures
    assert [name for name in pictures if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize(
    "page", sorted((ROOT / "plugins" / "methods").glob("*.md")), ids=lambda page: page.stem
)
def test_every_picture_a_page_shows_is_there(page: Path) -> None:
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / picture).is_file(), picture
