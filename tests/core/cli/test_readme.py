"""The README's commands are ones this program takes, as they are printed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from sfumato.cli import app

README = Path(__file__).parents[3] / "README.md"
PRINTED = re.findall(r"(?m)^sfumato [a-z].+$", README.read_text(encoding="utf-8"))


def test_there_are_commands_in_the_readme() -> None:
    assert len(PRINTED) > 10


@pytest.mark.parametrize("line", PRINTED)
def test_a_printed_command_is_understood(line: str) -> None:
    words, command = shlex.split(line, comments=True)[1:], typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", ()):
        command = command.commands[words.pop(0)]
    if not hasattr(command, "commands"):  # `sfumato models` alone is a command too
        command.make_context("sfumato", words)
    else:
        assert not words
