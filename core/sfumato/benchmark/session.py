"""A run of the benchmark: what is there already is left, what is missing is made, everything is scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sfumato.benchmark.case_pictures import CasePictures, copies
from sfumato.benchmark.cases import Case, png_pixels
from sfumato.benchmark.estimate import Estimate
from sfumato.benchmark.keys import FREE, Keys, Tasks, hashed
from sfumato.benchmark.metrics import Picture
from sfumato.benchmark.pairings import TRUTH
from sfumato.benchmark.plan import Row
from sfumato.benchmark.results import Result, Results, place_of
from sfumato.benchmark.runner import Made, Make, in_place
from sfumato.benchmark.scoring import VERSION, Scorer
from sfumato.benchmark.selection import SLOW
from sfumato.benchmark.table import seconds_of
from sfumato.errors import InputError, SfumatoError, StorageError
from sfumato.failure import explain
from sfumato.workshop import Workshop

Wanted = tuple[Row, Case]
_OTHER = (
    "The worker that had it calls other weights by the name of this model, so what it made was not kept. "
    "Install the same on every machine."
)


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
        self._done: set[tuple[str, str]] = set()
        self._estimate = Estimate(FREE)
        self._pictures = CasePictures(results)

    def run(self, make: Make = in_place) -> Generator[Step, None, None]:
        """Make and score what is missing; what failed in earlier runs, or was made smaller, is tried again.

        Stopping at any point loses no more than the edits in the making. Raises `StorageError` if results
        cannot be kept, `ModelError` if the model cannot be loaded.
        """
        first = [replace(row, cases=row.cases[:1]) for row in self.rows if row.few]
        yield from self._wave(first, make)
        self.rows = [self._shortened(row) for row in self.rows]
        yield from self._wave(self.rows, make)

    def of(self, row: Row) -> list[tuple[Case, Result]]:
        """The results of a row so far, failures too; without figures of other networks or annotations."""
        found = [(case, self.results.get(self.keys.of(row, case), case.id)) for case in row.cases]
        return [
            (
                case,
                replace(result, scores={}, decoded_scores={}) if self._is_outdated(result, case) else result,
            )
            for case, result in found
            if result is not None
        ]

    def _is_outdated(self, result: Result, case: Case) -> bool:
        return not result.failure and result.scored != self._scored_by(case)

    def _shortened(self, row: Row) -> Row:
        """A row with fewer cases if its first took long, or came to nothing."""
        if not row.few:
            return row
        first = self.results.get(self.keys.of(row, row.cases[0]), row.cases[0].id)
        slow = first is None or first.failure or seconds_of(first, self.results.inversions()) > SLOW
        return replace(row, cases=row.few if slow else row.cases, few=None)

    def _wave(self, rows: Sequence[Row], make: Make) -> Iterator[Step]:
        """Case by case of a model, so that a case's pairings find its inversions while they are kept."""
        self._estimate.expect(row.name for row, _ in self._todo(self.rows))
        missing: dict[str, list[Wanted]] = {}
        for row, case in self._todo(self.rows):
            self.keys.of(row, case)  # a folder that is gone is told of before anything is made
        for row, case in self._todo(rows):
            ready = self._ready(row, case)
            if ready is None:
                missing.setdefault(self.keys.of(row, case), []).append((row, case))
            else:
                yield self._step(row, case, ready, fresh=False)
        tasks = Tasks({key: wanted[0] for key, wanted in missing.items()}, self.workshop.registry)
        for key, came in make(tasks, self.workshop) if missing else ():
            for number, (row, case) in enumerate(missing[key]):
                shared = self._ready(row, case) if number else None
                result = shared or self._kept(row, case, came)
                yield self._step(row, case, result, fresh=shared is None)

    def _todo(self, rows: Sequence[Row]) -> list[Wanted]:
        """What was not yet told of, model by model, for to load one takes time."""
        cases = {case.id: case for row in rows for case in row.cases}
        having = {row.name: {case.id for case in row.cases} for row in rows}
        in_turn = _in_turn(rows)
        return [
            (row, case)
            for model in dict.fromkeys(row.pairing.recipe.model for row in rows)
            for case in cases.values()
            for row in in_turn
            if row.pairing.recipe.model == model
            and case.id in having[row.name]
            and (row.name, case.id) not in self._done
        ]

    def _step(self, row: Row, case: Case, result: Result, *, fresh: bool) -> Step:
        self._done.add((row.name, case.id))
        self._estimate.note(row.name, result, fresh=fresh)
        return Step(self._estimate.done, self._estimate.total, result, self._estimate.seconds_left)

    def _ready(self, row: Row, case: Case) -> Result | None:
        """The result if it needs no computing, scored with what there is now; None if it has to be made."""
        try:
            pictures = self._pictures.of(case)
        except InputError as error:
            return self._failed(row, case, str(error))
        found = self._found(row, case)
        if found is None or found.scored == self._scored_by(case):
            return found
        if row.name in FREE:
            free = pictures.truth if row.name == TRUTH else pictures.source
            images = None if free is None else (free, None)
        else:
            images = self._images(found)
        if images is None:
            return None
        return self._measured(found, row, case, images)

    def _found(self, row: Row, case: Case) -> Result | None:
        """What was made for the case, or for another one that asks for the same, then without figures."""
        key = self.keys.of(row, case)
        own = self.results.get(key, case.id)
        if own is not None and not (own.failure or own.smaller):
            return own
        if row.name in FREE:
            return Result(key, row.name, case.id, picture=copies(case)[row.name == TRUTH])
        shared = self.results.made(key)
        return None if shared is None else replace(shared, pairing=row.name, case=case.id, scored="")

    def _images(self, result: Result) -> tuple[Picture, Picture | None] | None:
        """Finished and as decoded; None if one is damaged, and both are to be made again."""
        paths = [self.results.folder / each for each in (result.picture, result.decoded) if each]
        try:
            finished, *decoded = (png_pixels(path.read_bytes()) for path in paths)
        except (OSError, ValueError, SyntaxError):  # what Pillow raises on damaged files
            return None
        return finished, decoded[0] if decoded else None

    def _kept(self, row: Row, case: Case, came: Made | SfumatoError) -> Result:
        """Score what was made, and keep it."""
        if isinstance(came, SfumatoError):
            return self._failed(row, case, self._told(row, case, came))
        if came.weights not in ("", self.keys.weights(row, case)):
            return self._failed(row, case, _OTHER)
        key = self.keys.of(row, case)
        place = place_of(case.id, f"{row.name}.{key[:8]}")
        files = {f"{place}.png": came.picture}
        if came.decoded is not None:
            files[f"{place}.decoded.png"] = came.decoded
        result = Result(
            key,
            row.name,
            case.id,
            picture=f"{place}.png",
            decoded="" if came.decoded is None else f"{place}.decoded.png",
            costs=came.costs,
            seconds=came.seconds,
            reused=came.reused,
            inversion=came.inversion,
            inversion_seconds=came.inversion_seconds,
            processor=came.processor,
            depends=self.keys.depends(row, case),
            notes=came.notes,
            smaller=came.smaller,
        )
        self.made += 1
        decoded = None if came.decoded is None else png_pixels(came.decoded)
        return self._measured(result, row, case, (png_pixels(came.picture), decoded), files)

    def _measured(
        self,
        result: Result,
        row: Row,
        case: Case,
        images: tuple[Picture, Picture | None],
        files: Mapping[str, bytes] | None = None,
    ) -> Result:
        """Score a result and keep it with its files; what cannot be is kept to be scored another time."""
        try:
            result = self._scored(result, case, *images)
        except StorageError:
            raise
        except Exception as error:
            self.results.add(result, files)
            told = self._told(row, case, explain(error, f"{row.name}, case {case.id}"))
            kept = "" if row.name in FREE else "It was made and kept, but not measured. "
            return self._failed(row, case, kept + told)
        self.results.add(result, files)
        return result

    def _scored(self, result: Result, case: Case, finished: Picture, decoded: Picture | None) -> Result:
        pictures = self._pictures.of(case)
        return replace(
            result,
            scores=self.scorer(case, pictures, finished),
            decoded_scores={} if decoded is None else self.scorer(case, pictures, decoded),
            scored=self._scored_by(case),
        )

    def _told(self, row: Row, case: Case, error: SfumatoError) -> str:
        """The sentence of a failure; if it was a bug, with the place where its details are."""
        if not error.details:
            return str(error)
        name = self.results.report(f"{row.name}, case {case.id}: {error}", error.details)
        return f"{error} They are in {name}."

    def _failed(self, row: Row, case: Case, why: str) -> Result:
        result = Result(self.keys.of(row, case), row.name, case.id, failure=why)
        self.results.add(result)
        return result

    def _scored_by(self, case: Case) -> str:
        return hashed([self.keys.digest(case), self.scorer.names, VERSION])


def _in_turn(rows: Sequence[Row]) -> list[Row]:
    """One row of each inverter, then the next of each.

    Rows that share an inversion would begin at once, were they neighbours, and each would make it.
    """
    turns: Counter[str] = Counter()
    placed = []
    for row in rows:
        placed.append((turns[row.pairing.recipe.inverter], row))
        turns[row.pairing.recipe.inverter] += 1
    return [row for _, row in sorted(placed, key=lambda each: each[0])]
