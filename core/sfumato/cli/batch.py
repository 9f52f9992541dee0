"""`sfumato edit` of many pictures: what is there is left, what is missing is made, failures come last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import typer

from sfumato.cli.answers import FAILURE, INTERRUPTED, counting
from sfumato.cli.cases import Case, cases_of
from sfumato.cli.edit_task import Edited, EditTask, edit_one
from sfumato.cli.edits import workshop_of
from sfumato.cli.lists import entries
from sfumato.cli.many_options import crew_of
from sfumato.errors import SfumatoError, StorageError
from sfumato.files.atomic import write_atomically
from sfumato.many.crew import Crew
from sfumato.many.spreading import spread
from sfumato.many.worker import Done, Failed
from sfumato.workshop import Workshop


def edit_many(given: Mapping[str, Any]) -> None:
    """Edit every picture that the arguments of `sfumato edit` name.

    Everything is checked before anything is run. Raises `SfumatoError`. Ends with exit code 1 if a picture
    could not be edited, and with 130 when stopped, which loses no more than the edits in the making.
    """
    crew = crew_of(given)
    workshop = workshop_of(dict(given))
    batch = _Batch(cases_of(entries(given["pictures"]), given, workshop), overwrite=given["overwrite"])
    try:
        batch.run(crew, workshop)
    except KeyboardInterrupt:
        typer.echo("sfumato: Stopped; what was finished is kept.", err=True)
        batch.tell()
        if batch.rest:
            typer.echo("Run the same command again for the rest.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except SfumatoError:  # which ends all; what it says comes last
        batch.tell()
        raise
    batch.tell()
    if batch.failures:
        raise typer.Exit(FAILURE)


class _Tasks(Mapping[str, EditTask]):
    """The tasks of cases, by the names of their results; each is read from disk when it is asked for."""

    def __init__(self, cases: Mapping[str, Case]) -> None:
        self._cases = cases

    def __getitem__(self, key: str) -> EditTask:
        return self._cases[key].task()

    def __iter__(self) -> Iterator[str]:
        return iter(self._cases)

    def __len__(self) -> int:
        return len(self._cases)


class _Batch:
    """Cases, and what became of them."""

    def __init__(self, cases: list[Case], *, overwrite: bool) -> None:
        self.cases = {case.output.name: case for case in cases}
        self.overwrite = overwrite
        self.edited, self.there = 0, 0
        self.failures: dict[str, str] = {}
        """Why a picture failed, by its result's name: lines of two lists may be called the same."""

    def run(self, crew: Crew, workshop: Workshop) -> None:
        """Make what is missing. Raises `SfumatoError` if nobody can make it, or it cannot be kept."""
        todo = {name: case for name, case in self.cases.items() if self._wants(case)}
        for folder in {case.output.parent for case in todo.values()}:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StorageError(f"The folder {folder} cannot be made: {error.strerror}.") from error
        with (
            closing(spread(_Tasks(todo), edit_one, crew, here=workshop)) as outcomes,
            counting(len(todo)) as count,
        ):
            for outcome in outcomes:
                self._note(outcome)
                count()

    def _wants(self, case: Case) -> bool:
        """Whether a case has to be done. What is there and is not its result is left alone, and said.

        What was made smaller for want of memory is tried again, and stays if that fails.
        """
        there = [path for path in case.outputs if path.exists()]
        if not there:
            return True
        found = case.found(there)
        if found == "made":  # the first is written last, and not every method makes several
            whole = case.output in there
            self.there += whole
            return not whole
        if found == "smaller":
            return True
        if not self.overwrite:
            self.failures[case.output.name] = (
                f"{case.output} is something else and was left alone. Say --overwrite, or another folder."
            )
        return self.overwrite

    def _note(self, outcome: Done[Edited] | Failed) -> None:
        case = self.cases[outcome.key]
        if isinstance(outcome, Failed):
            self.failures[case.output.name] = "\n".join(filter(None, (outcome.sentence, outcome.details)))
            return
        for name, data in reversed(outcome.result.files):  # the first one there means that all are
            with write_atomically(case.output.with_name(name)) as file:
                file.write(data)
            typer.echo(f"Wrote {case.output.with_name(name)}")
        for note in outcome.result.notes:
            typer.echo(f"{case.output.name}: {note}")
        self.edited += 1

    @property
    def rest(self) -> int:
        """How many came to no end."""
        return len(self.cases) - self.edited - self.there - len(self.failures)

    def tell(self) -> None:
        """Say what became of all, and of each failure why."""
        parts = [f"{self.edited} of {len(self.cases)} edited"]
        parts += [f"{self.there} {'was' if self.there == 1 else 'were'} already there"] if self.there else []
        parts += [f"{len(self.failures)} failed"] if self.failures else []
        parts += [f"{self.rest} not begun or not finished"] if self.rest else []
        typer.echo(", ".join(parts) + ".")
        for name, why in self.failures.items():
            typer.echo(f"{self.cases[name].entry.where}: {why}", err=True)
