"""Rewrites the README's map of the code from the first line of each module's docstring."""

from __future__ import annotations

import ast
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEADING = "## Map of the code\n"


def purpose(module: Path) -> str:
    """The first sentence of the docstring, or a question where there is none."""
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or "(no docstring)"
    return " ".join(text.split("\n\n")[0].split()).split(". ")[0].rstrip(".")


def code_map() -> str:
    """One bold folder and one line per module: the four source roots, then the tools."""
    modules = [
        path
        for source_root in ("core", "desktop", "plugins", "resources", "packaging")
        for path in sorted((ROOT / source_root).rglob("*.py"), key=lambda path: (path.parent, path.name))
        if path.name != "__init__.py"
    ]
    blocks = []
    for folder, members in groupby(modules, key=lambda path: path.parent):
        lines = [f"- `{path.name}`: {purpose(path)}" for path in members]
        blocks.append(f"**`{folder.relative_to(ROOT).as_posix()}/`**\n\n" + "\n".join(lines) + "\n")
    return "\n".join(blocks)


def main() -> None:
    """Replace what stands between the map's first folder and the next heading."""
    readme = ROOT / "README.md"
    before, heading, rest = readme.read_text(encoding="utf-8").partition(HEADING)
    introduction = rest.partition("\n**`")[0].partition("\n## ")[0].rstrip("\n")
    after = rest.partition("\n## ")[2]
    readme.write_text(f"{before}{heading}{introduction}\n\n{code_map()}\n## {after}", encoding="utf-8")


if __name__ == "__main__":
    main()
