"""The composition root: the one place that decides what the program is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sfumato.engine import Engine
from sfumato.events import Event
from sfumato.settings import Settings, load_settings
from sfumato.workshop import Workshop, go_offline, open_workshop


def engine(on_event: Callable[[Event], None], **choices: Any) -> Engine:
    """An engine, not yet started, for a program with a window. `choices` override settings."""
    go_offline()
    return Engine(on_event, settings=chosen(**choices))


def workshop(**choices: Any) -> Workshop:
    """A workshop for a program without a window; torch is imported here."""
    go_offline()
    return open_workshop(chosen(**choices))


def chosen(**choices: Any) -> Settings:
    """The person's settings with `choices` put over them; a choice of None is none.

    Raises `InputError` if a choice is not possible.
    """
    made = {name: value for name, value in choices.items() if value is not None}
    return load_settings().changed(**made)
