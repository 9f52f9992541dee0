"""A run of the benchmark: what is there already is left, what is missing is made, everything is scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sfumato.benchmark.cases import Case, Pictures, load_pictures, png_pixels
from sfumato.benchmark.estimate import Estimate
from sfumato.benchmark.keys import FREE, Keys, Tasks, hashed
from sfumato.benchmark.metrics import Picture
from sfumato.benchmark.pairings import TRUTH
from sfumato.benchmark.plan import Row
from sfumato.benchmark.results import Result, Results, place_of
from sfumato.benchmark.runner import Made, Make, in_place
from sfumato.benchmark.scoring import VERSION, Scorer
from sfumato.benchmark.selection import SLOW
from sfumato.errors import InputError, SfumatoError
from sfumato.workshop import Workshop

_REMEMBERED = 8
"""Cases whose pictures are kept in memory."""


@dataclass(frozen=True)
class Step:
    """One edit more, made or found."""

    done: int
    total: int
    """What is to come may become less when a pairing turns out to be slow."""
    result: Result
    seconds_left: float | None
    """None as long as nothing was computed."""


class Session:
    """One run of rows over their cases, in a folder of results."""

    def __init__(self, rows: Sequence[Row], scorer: Scorer, results: Results, workshop: Workshop) -> None:
        self.rows, self.scorer, self.results, self.workshop = list(rows), scorer, results, workshop
        self.made = 0
        """How many edits were computed in this run."""
        self.keys = Keys(workshop)
        self._told: set[tuple[str, str]] = set()
        self._estimate = Estimate(FREE)
        self._pictures: dict[str, Pictures] = {}

    def run(self, make: Make = in_place) -> Iterator[Step]:
        """Make and score what is missing; failures of earlier runs are tried again.

        Stopping at any point loses no more than the edits in the making. Raises `StorageError` if results
        cannot be kept, `ModelError` if the model cannot be loaded.
        """
        first = [replace(row, cases=row.cases[:1]) for row in self.rows if row.few]
        yield from self._wave(first, make)
        self.rows = [self._shortened(row) for row in self.rows]
        yield from self._wave(self.rows, make)

    def of(self, row: Row) -> list[tuple[Case, Result]]:
        """The results of a row so far, failures among them."""
        found = [(case, self.results.get(self.keys.of(row, case))) for case in row.cases]
        return [(case, result) for case, result in found if result is not None]

    def _shortened(self, row: Row) -> Row:
        """A row with fewer cases if its first took long, or came to nothing."""
        if not row.few:
            return row
        first = self.results.get(self.keys.of(row, row.cases[0]))
        slow = first is None or first.failure or sum(first.seconds.values()) > SLOW
        return replace(row, cases=row.few if slow else row.cases, few=None)

    def _wave(self, rows: Sequence[Row], make: Make) -> Iterator[Step]:
        """Case by case, so that a case's pairings find its inversions while they are kept."""
        self._estimate.expect(row.name for row, _ in self._todo(self.rows).values())
        todo = self._todo(rows)
        missing: dict[str, tuple[Row, Case]] = {}
        for key, (row, case) in todo.items():
            ready = self._ready(key, row, case)
            if ready is None:
                missing[key] = row, case
            else:
                yield self._step(row, case, ready, fresh=False)
        tasks = Tasks(missing, self.workshop.registry)
        for key, came in make(tasks, self.workshop) if missing else ():
            row, case = todo[key]
            yield self._step(row, case, self._kept(key, row, case, came), fresh=True)

    def _todo(self, rows: Sequence[Row]) -> dict[str, tuple[Row, Case]]:
        """What was not yet told of, by key."""
        cases = {case.id: case for row in rows for case in row.cases}
        having = {row.name: {case.id for case in row.cases} for row in rows}
        in_turn = sorted(rows, key=lambda row: row.pairing.recipe.inverter)
        return {
            self.keys.of(row, case): (row, case)
            for case in cases.values()
            for row in in_turn
            if case.id in having[row.name] and (row.name, case.id) not in self._told
        }

    def _step(self, row: Row, case: Case, result: Result, *, fresh: bool) -> Step:
        self._told.add((row.name, case.id))
        self._estimate.note(row.name, result, fresh=fresh)
        return Step(self._estimate.done, self._estimate.total, result, self._estimate.seconds_left)

    def _ready(self, key: str, row: Row, case: Case) -> Result | None:
        """The result if it needs no computing, scored with what there is now; None if it has to be made."""
        found = self.results.get(key)
        found = None if found is None or found.failure else found
        try:
            pictures = self._shown(case)
        except InputError as error:
            return self._failed(key, row, case, str(error))
        if row.name in FREE:
            truth = row.name == TRUTH
            edited = pictures.truth if truth else pictures.source
            found = found or Result(key, row.name, case.id, picture=copies(case)[truth])
        else:
            edited = None if found is None else _decoded(self.results.folder / found.picture)
        if found is None or edited is None:
            return None
        scored = self._scored_by(case)
        if found.scored != scored:
            found = replace(found, scores=self.scorer(case, pictures, edited), scored=scored)
            self.results.add(found)
        return found

    def _kept(self, key: str, row: Row, case: Case, came: Made | SfumatoError) -> Result:
        """Score what was made, and keep it."""
        if isinstance(came, SfumatoError):
            return self._failed(key, row, case, str(came))
        result = Result(
            key,
            row.name,
            case.id,
            picture=place_of(case.id, f"{row.name}.{key[:8]}.png"),
            costs=came.costs,
            seconds=came.seconds,
            reused=came.reused,
            notes=came.notes,
            scores=self.scorer(case, self._shown(case), png_pixels(came.picture)),
            scored=self._scored_by(case),
        )
        self.results.add(result, came.picture)
        self.made += 1
        return result

    def _failed(self, key: str, row: Row, case: Case, why: str) -> Result:
        result = Result(key, row.name, case.id, failure=why)
        self.results.add(result)
        return result

    def _scored_by(self, case: Case) -> str:
        return hashed([self.keys.digest(case), self.scorer.names, VERSION])

    def _shown(self, case: Case) -> Pictures:
        """The pictures of a case, of which the results keep a copy. Raises `InputError` if one is damaged."""
        if case.id not in self._pictures:
            self._pictures[case.id] = load_pictures(case)
            for path, name in zip((case.picture, case.truth), copies(case), strict=True):
                if path is not None and not _same(path, self.results.folder / name):
                    self.results.write(name, path.read_bytes())
            while len(self._pictures) > _REMEMBERED:
                del self._pictures[next(iter(self._pictures))]
        return self._pictures[case.id]


def copies(case: Case) -> tuple[str, str]:
    """Where in a folder of results the picture of a case and its true edit are."""
    names = ("source", case.picture), ("truth", case.truth or case.picture)
    source, truth = (place_of(case.id, f"{name}{path.suffix.lower()}") for name, path in names)
    return source, truth


def _same(path: Path, copy: Path) -> bool:
    return copy.exists() and copy.read_bytes() == path.read_bytes()


def _decoded(path: Path) -> Picture | None:
    """An edited picture that was kept; None if it is damaged, and is to be made again."""
    try:
        return png_pixels(path.read_bytes())
    except (OSError, ValueError, SyntaxError):  # what Pillow raises on damaged files
        return None
