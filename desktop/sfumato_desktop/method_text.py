"""Methods described to the person who chooses among them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from sfumato.method import MethodInfo, Need
from sfumato.pairing import Facts

_ARTICLE = re.compile("^an? ")


def describe(info: MethodInfo, facts: Facts) -> str:
    """A method in rich text: what it does, its paper, and its needs with a tick at those that are met."""
    paper = f' <a href="{escape(info.paper)}">Paper</a>' if info.paper.startswith("http") else ""
    return f"{escape(info.summary)}{paper}{_needs(info.needs, facts)}"


def _needs(needs: Iterable[Need], facts: Facts) -> str:
    wanted = [need for need in Need if need in needs]
    badges = [f"{'✓' if facts.has(need) else '○'} {_ARTICLE.sub('', need.value)}" for need in wanted]
    return f"<br>Needs {' · '.join(each.replace(' ', '&nbsp;') for each in badges)}" if badges else ""
