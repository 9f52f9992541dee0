"""What went wrong, in words for the person at the keyboard."""

from __future__ import annotations


class SfumatoError(Exception):
    """A failure a person can understand and act on.

    `what` says what happened, `kept` what was preserved, `advice` what to do next; each is one plain
    sentence. Everything that is not a `SfumatoError` is a bug and keeps its traceback.
    """

    def __init__(self, what: str, *, kept: str = "", advice: str = "") -> None:
        self.what = what
        self.kept = kept
        self.advice = advice
        self.details = ""
        """For a report: the traceback of what lies behind it, if that was a bug."""
        super().__init__(" ".join(part for part in (what, kept, advice) if part))


class InputError(SfumatoError):
    """A picture, mask, prompt, parameter or file that cannot be used."""


class MethodError(SfumatoError):
    """A method that is unknown, broken, or cannot work with what it was given."""


class ModelError(SfumatoError):
    """A checkpoint that is missing, incomplete or unsafe."""


class StorageError(SfumatoError):
    """A place that cannot be written: full, read-only, or gone."""


class MemoryShortage(SfumatoError):
    """The machine ran out of memory; the document is untouched."""
