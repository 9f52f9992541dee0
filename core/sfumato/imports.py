"""Importing torch and its friends on a background thread while a window goes on answering.

Three things hold the interpreter for long. A thread's turn: made short here. Collecting garbage, which after
some ten thousand new modules and classes takes 400 ms a time: off until all is imported, after which what is
there is set aside for good. And opening the libraries of torch, 200 ms: done through a call that lets go of
the interpreter, so that the import finds them open.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

SHORT_TURN = 0.0005
"""Seconds a thread keeps the interpreter."""
_LIBRARIES = {"libtorch_global_deps.so": os.RTLD_GLOBAL, "libtorch_cpu.so": os.RTLD_LOCAL}
"""In the order torch opens them, and how. They know nothing of Python."""


@contextmanager
def considerate() -> Iterator[None]:
    """Let other threads in often while much is imported; the interval that was set before comes back."""
    turn, collecting = sys.getswitchinterval(), gc.isenabled()
    sys.setswitchinterval(SHORT_TURN)
    gc.disable()
    try:
        yield
    finally:
        sys.setswitchinterval(turn)
        if collecting:
            gc.freeze()
            gc.enable()


def open_torch_libraries() -> None:
    """Open torch's large libraries without holding the interpreter; does nothing where it cannot."""
    if sys.platform != "linux" or "torch" in sys.modules or (spec := find_spec("torch")) is None:
        return
    dlopen = ctypes.CDLL(None).dlopen  # a foreign call releases the interpreter, ctypes.CDLL(path) does not
    dlopen.argtypes, dlopen.restype = (ctypes.c_char_p, ctypes.c_int), ctypes.c_void_p
    for folder in spec.submodule_search_locations or ():
        for name, scope in _LIBRARIES.items():
            path = Path(folder) / "lib" / name
            if path.is_file():
                dlopen(os.fsencode(path), os.RTLD_NOW | scope)
