"""Writing a file so that a full disk, a kill or a power cut leaves either the old one or the new one."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from sfumato.errors import StorageError

PART = ".sfumato.part"
STALE_AFTER = 3600.0
"""Seconds after which a temporary file is taken for the rest of a program that was killed."""


@contextmanager
def write_atomically(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` when the block ends well, and is gone if it does not.

    Permissions of an existing file are kept, links are followed. Raises `StorageError` if the place is full,
    read-only or not there; what was at `path` is then untouched.
    """
    target = path.resolve()
    part = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}{PART}")
    try:
        _refuse_unwritable(target)
        sweep(target.parent)
        with part.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):  # there was none, or another process has just removed it
            part.chmod(stat.S_IMODE(target.stat().st_mode))
        part.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        if error.errno is None:  # not the disk's doing: some encoders raise bare OSErrors
            raise
        raise _storage_error(path, error) from error
    finally:
        with suppress(OSError):
            part.unlink()


def sweep(folder: Path) -> int:
    """Remove temporary files that a killed program left in a folder; return how many there were."""
    removed = 0
    for part in folder.glob(f".*{PART}"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > STALE_AFTER:
                part.unlink()
                removed += 1
    return removed


def _refuse_unwritable(target: Path) -> None:
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder")
    if target.is_file():
        with suppress(FileNotFoundError):  # another process may remove it at any time
            os.close(os.open(target, os.O_WRONLY))  # asking first and opening then would leave a gap


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # some file systems cannot; the file itself is safe
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _storage_error(path: Path, error: OSError) -> StorageError:
    reasons = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the disk quota is used up",
        errno.EACCES: "it is read-only or belongs to somebody else",
        errno.EPERM: "it is read-only or belongs to somebody else",
        errno.EROFS: "the disk is read-only",
        errno.ENOENT: "its folder does not exist",
        errno.ENOTDIR: "its folder does not exist",
        errno.EISDIR: "there is a folder of that name",
        errno.ENAMETOOLONG: "the name is too long",
    }
    reason = reasons.get(error.errno or 0, (error.strerror or "the disk does not answer").lower())
    return StorageError(
        f"{path.name} could not be written: {reason}.",
        kept="What was there before is unchanged.",
        advice="Save to another place, or make room and try again.",
    )
