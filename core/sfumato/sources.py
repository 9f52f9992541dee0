"""The program that decides pixels, as hashes: what another one made must not be mistaken for this one's."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec, resolve_name
from pathlib import Path

import sfumato

PACKAGES = ("diffusion", "document", "models")
"""Parts of `sfumato` that decide pixels, with all that is in them."""
MODULES = (
    "benchmark/masks.py", "benchmark/runner.py", "controlling.py", "files/decoding.py", "files/images.py",
    "files/metadata.py", "inverting.py", "masking.py", "method.py", "order.py", "perform.py",
    "preprocessor.py", "prompts.py", "scene.py", "shrinking.py",
)  # fmt: skip
"""What else of it does."""
_OTHER = ("models/download.py", "models/fetching.py", "models/judge.py")
"""What is in these packages and decides no pixel of an edit."""

LIBRARIES = ("torch", "diffusers", "transformers")
"""What decides pixels beside the program."""
_SHARED = ("abc", "builtins", "sfumato", "typing")
"""Packages whose classes are no method's own; of `sfumato` the digest of the engine speaks."""


@cache
def engine_digest() -> str:
    """The hash of what all methods share; where there are no sources (frozen programs), the version."""
    root = Path(sfumato.__file__).parent
    paths = [root / name for name in MODULES]
    paths += [path for package in PACKAGES for path in (root / package).rglob("*.py")]
    there = [path for path in set(paths).difference(root / name for name in _OTHER) if path.is_file()]
    return _digest(there, root) if there else version("sfumato")


@cache
def class_digest(kind: type) -> str:
    """The hash of a method's module and of its bases', with what these import of their own package."""
    names = {each.__module__ for each in kind.__mro__}
    foreign = {name for name in names if name.partition(".")[0] not in _SHARED}
    return _digest(set[Path]().union(*(_reached(name) for name in foreign)), None)


def _digest(paths: Iterable[Path], root: Path | None) -> str:
    """Of names and texts; line ends do not count, for a checkout may change them."""
    lines = []
    for path in paths:
        name = path.name if root is None else path.relative_to(root).as_posix()
        text = path.read_bytes().replace(b"\r\n", b"\n")
        lines.append(f"{name} {hashlib.sha256(text).hexdigest()}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def _reached(module: str) -> set[Path]:
    """The files of a module, of the modules of its own package that it imports, and so on."""
    found: set[Path] = set()
    ahead, package = [module], module.partition(".")[0]
    while ahead:
        name = ahead.pop()
        path = _file_of(name)
        if path is not None and path not in found:
            found.add(path)
            ahead += [each for each in _imported(name, path) if each.partition(".")[0] == package]
    return found


def _file_of(module: str) -> Path | None:
    try:
        spec = find_spec(module)
    except (ImportError, AttributeError, ValueError):  # a name in a module, or one without a file
        return None
    path = None if spec is None or spec.origin is None else Path(spec.origin)
    return path if path is not None and path.suffix == ".py" and path.is_file() else None


def _imported(module: str, path: Path) -> Iterator[str]:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            whole = resolve_name(source, package) if node.level else source
            yield whole
            yield from (f"{whole}.{each.name}" for each in node.names)
