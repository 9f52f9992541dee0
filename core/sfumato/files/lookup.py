"""Whether a file is there, for names that a person gave."""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sfumato.errors import InputError

_SHOWN = 120
"""Characters of a name that a sentence has room for."""
_REFUSED = (errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ELOOP, errno.EIO, errno.ESTALE)


@contextmanager
def looking_up(name: str = "") -> Iterator[None]:
    """Around what looks at files; people know this one as `name`, or by its path.

    Raises `InputError` for a name no file system takes, or in a folder that may not be looked into.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        shown = (name or str(error.filename or "A file"))[:_SHOWN]
        raise InputError(f"{shown} cannot be looked up: {error.strerror}.") from error


def is_file(path: Path, name: str = "") -> bool:
    """Whether there is a file. Raises as `looking_up`, where `Path.is_file` may say that there is none."""
    with looking_up(name):
        try:
            return stat.S_ISREG(path.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError, ValueError):  # the last for a name with a zero in it
            return False
