"""Whether a file is there, for names that a person gave."""

from __future__ import annotations

from pathlib import Path

from sfumato.errors import InputError

_SHOWN = 120
"""Characters of a name that a sentence has room for."""


def is_file(path: Path, name: str = "") -> bool:
    """Whether there is a file; people know it as `name`, or by its path.

    Raises `InputError` for a name no file system takes, or in a folder that may not be looked into.
    """
    try:
        return path.is_file()
    except OSError as error:
        shown = (name or str(path))[:_SHOWN]
        raise InputError(f"{shown} cannot be looked up: {error.strerror}.") from error
