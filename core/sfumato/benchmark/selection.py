"""Which cases a pairing is run on: the same ones everywhere, whatever else the folder holds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import chain, zip_longest

from sfumato.benchmark.cases import Case

PER_TYPE, FEW_PER_TYPE = 6, 2
"""Of each edit type, for pairings that are no headline, and for slow ones among them."""
SLOW = 30.0
"""Seconds a case from which a pairing is slow."""


def per_type(cases: Sequence[Case], count: int) -> tuple[Case, ...]:
    """So many cases of each edit type, or all there are; fewer are some of those that more would be."""
    return tuple(case for each in _by_type(cases) for case in each[:count])


def spread_over_types(cases: Sequence[Case], count: int) -> tuple[Case, ...]:
    """So many cases in all, as evenly over the edit types as these allow."""
    turns = chain.from_iterable(zip_longest(*_by_type(cases)))
    return tuple([case for case in turns if case is not None][:count])


def _by_type(cases: Sequence[Case]) -> list[list[Case]]:
    """The cases of each type, in the order of a hash of their ids, so that others come and go around them."""
    kinds = sorted({case.kind for case in cases})
    return [
        sorted((case for case in cases if case.kind == kind), key=lambda case: _draw(case.id))
        for kind in kinds
    ]


def _draw(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
