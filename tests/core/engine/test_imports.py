"""Importing beside a window: what is borrowed from the interpreter is given back."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from sfumato.imports import SHORT_TURN, considerate


def test_what_is_borrowed_is_given_back() -> None:
    before = sys.getswitchinterval()
    with considerate():
        assert sys.getswitchinterval() == pytest.approx(SHORT_TURN)
        assert not gc.isenabled()
    assert sys.getswitchinterval() == before
    assert gc.isenabled()
    gc.unfreeze()


def test_collecting_stays_off_where_it_was_off() -> None:
    gc.disable()
    try:
        with considerate():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_torch_imports_after_its_libraries_were_opened() -> None:
    code = (
        "import sys; from sfumato.imports import open_torch_libraries as o; o();"
        "assert 'torch' not in sys.modules;"
        "import torch; print(int(torch.ones(3).sum())); o()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "3", "")
