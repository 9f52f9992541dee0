import errno
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sfumato.errors import StorageError
from sfumato.files.atomic import PART, STALE_AFTER, sweep, write_atomically


def write(path: Path, data: bytes) -> None:
    with write_atomically(path) as file:
        file.write(data)


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_a_file_is_written_and_replaced_with_its_permissions(tmp_path):
    path = tmp_path / "file.bin"
    write(path, b"one")
    path.chmod(0o640)
    write(path, b"two")
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert names(tmp_path) == {"file.bin"}


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "there").mkdir()
    target = tmp_path / "there" / "file"
    target.write_bytes(b"one")
    link = tmp_path / "link"
    link.symlink_to(target)
    write(link, b"two")
    assert link.is_symlink()
    assert target.read_bytes() == b"two"


@pytest.mark.parametrize("call", ["fsync", "replace", "write"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(call, tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if call != "write":
        monkeypatch.setattr(*((os, "fsync") if call == "fsync" else (Path, "replace")), full)

    def save() -> None:
        with write_atomically(path) as file:
            file.write(b"half of the new one")
            if call == "write":
                full()

    with pytest.raises(StorageError, match="disk is full") as caught:
        save()
    assert caught.value.kept
    assert caught.value.advice
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == {"file"}


def test_a_failure_of_the_writer_itself_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail() -> None:
        with write_atomically(path) as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == {"file"}


@pytest.mark.parametrize("place", ["missing/file", "folder", "file/below"])
def test_impossible_places_are_refused_in_one_sentence(place, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError) as caught:
        write(tmp_path / place, b"")
    assert caught.value.what.endswith(".")
    assert names(tmp_path) == {"folder", "file"}


def test_a_kill_between_writing_and_replacing_loses_nothing(tmp_path):
    path = tmp_path / "file"
    write(path, b"old")
    script = (
        "import os, signal, sys, pathlib\n"
        "from sfumato.files.atomic import write_atomically\n"
        "pathlib.Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "with write_atomically(pathlib.Path(sys.argv[1])) as file:\n"
        "    file.write(b'new')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, path], env={**os.environ, "PYTHONPATH": "core"}, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    (left,) = (entry for entry in tmp_path.iterdir() if entry.name.endswith(PART))
    assert sweep(tmp_path) == 0, "another program may be at work on a young one"
    long_ago = time.time() - STALE_AFTER - 60
    os.utime(left, (long_ago, long_ago))
    write(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == {"file"}
