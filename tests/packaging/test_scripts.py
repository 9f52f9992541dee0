"""The set-up scripts: what they find ready, what they say when the system lacks something."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = [*sorted((ROOT / "packaging").glob("*.sh")), ROOT / ".ci" / "run"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with an environment that was set up to run the program."""
    (tmp_path / "packaging").mkdir()
    shutil.copy(ROOT / "packaging" / "setup.sh", tmp_path / "packaging")
    (tmp_path / "packaging" / "constraints.txt").write_text("numpy==2.4.6\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to("/bin/true")
    assert bash(tmp_path, 'wanted_stamp run >"$venv/sfumato-run"').returncode == 0
    return tmp_path


def bash(checkout: Path, program: str) -> subprocess.CompletedProcess[str]:
    script = f"set -euo pipefail; . {checkout}/packaging/setup.sh; {program}"
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_parses(script: Path):
    subprocess.run(["bash", "-n", script], check=True)
    if shutil.which("shellcheck"):
        done = subprocess.run(
            ["shellcheck", "-x", script], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


def test_a_finished_environment_is_ready(checkout: Path):
    assert bash(checkout, "is_ready run").returncode == 0
    assert bash(checkout, "is_ready test").returncode == 1


def test_an_environment_for_the_tests_also_runs_the_program(checkout: Path):
    (checkout / ".venv" / "sfumato-run").unlink()
    bash(checkout, 'wanted_stamp test >"$venv/sfumato-test"')
    # Fails at once if it wants to set anything up.
    assert bash(checkout, "ensure_system() { exit 9; }; ensure_environment run").returncode == 0


@pytest.mark.parametrize("name", ["pyproject.toml", "packaging/constraints.txt"])
def test_a_changed_requirement_asks_for_an_update(checkout: Path, name: str):
    with (checkout / name).open("a") as file:
        file.write("# changed\n")
    assert bash(checkout, "is_ready run").returncode == 1


def test_a_moved_checkout_asks_for_an_update(checkout: Path, tmp_path: Path):
    moved = tmp_path.with_name(tmp_path.name + "-moved")
    checkout.rename(moved)
    assert bash(moved, "is_ready run").returncode == 1


def test_an_interrupted_set_up_is_not_ready_and_begins_anew(checkout: Path):
    (checkout / ".venv" / "sfumato-unfinished").touch()
    leftover = checkout / ".venv" / "lib" / "half"
    leftover.mkdir(parents=True)
    assert bash(checkout, "is_ready run").returncode == 1
    done = bash(checkout, "python=/bin/false; install_environment run")
    assert done.returncode == 1
    assert not leftover.exists()
    assert (checkout / ".venv" / "sfumato-unfinished").exists()


def test_missing_libraries_are_found_by_their_file_name(checkout: Path):
    done = bash(checkout, "missing_packages libc.so.6:libc6 libnosuch.so.9:libnosuch9")
    assert done.stdout.split() == ["libnosuch9"]


def test_without_root_the_packages_are_named_in_one_sentence(checkout: Path):
    done = bash(checkout, "is_root() { return 1; }; apt-get() { :; }; need_packages libgl1 libegl1")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith("please run: sudo apt-get install --no-install-recommends libgl1 libegl1\n")


def test_without_apt_the_packages_are_named_too(checkout: Path):
    done = bash(checkout, "PATH=/nonexistent; need_packages libgl1")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "libgl1" in done.stderr


def test_as_root_the_packages_are_installed(checkout: Path):
    stubs = 'is_root() { return 0; }; apt-get() { :; }; apt_install() { echo "$@"; }'
    assert bash(checkout, f"{stubs}; need_packages libgl1 libegl1").stdout == "libgl1 libegl1\n"


def test_all_that_is_missing_is_named_at_once(checkout: Path):
    stubs = "is_root() { return 1; }; apt-get() { :; }; find_python() { return 1; }"
    lacks = "unset DISPLAY WAYLAND_DISPLAY; base_libraries=(libnosuch.so.9:libnosuch9)"
    done = bash(checkout, f"{stubs}; {lacks}; ensure_system")
    assert done.stderr.endswith("--no-install-recommends libnosuch9 python3 python3-venv\n")
    assert done.stderr.count("\n") == 1


def test_a_display_is_looked_after_only_when_there_is_one(checkout: Path):
    program = "missing_packages() { echo libxcb-cursor0; }; need_packages() { echo $@; }; ensure_display"
    assert bash(checkout, f"unset DISPLAY WAYLAND_DISPLAY; {program}").stdout == ""
    assert bash(checkout, f"DISPLAY=:9; {program}").stdout == "libxcb-cursor0\n"
    assert bash(checkout, f"DISPLAY=:9; {program}").stdout == ""
