"""`sfumato bench edits`: pairings of inverter and editor on a folder of cases, measured as PIE-Bench does."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from sfumato import compose
from sfumato.benchmark.cases import CaseFolder
from sfumato.benchmark.folder import read_cases
from sfumato.benchmark.judge import load_reader
from sfumato.benchmark.pairings import HEADLINE, Pairing, every, from_file, named
from sfumato.benchmark.plan import Choice, baselines, planned
from sfumato.benchmark.publish import publish
from sfumato.benchmark.results import LINES, Results
from sfumato.benchmark.runner import made_by
from sfumato.benchmark.scoring import Scorer
from sfumato.benchmark.session import Session
from sfumato.benchmark.sets import CaseSet
from sfumato.benchmark.unused import unused
from sfumato.cli import many_options as m
from sfumato.cli import options as o
from sfumato.cli.answers import FAILURE, INTERRUPTED, answering
from sfumato.cli.bench_running import followed
from sfumato.cli.bench_told import tell
from sfumato.errors import InputError
from sfumato.many.crew import Crew
from sfumato.method import Recipe
from sfumato.signals import stoppable
from sfumato.workshop import Workshop


def edits(
    ctx: typer.Context,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="OUT", help="A folder for results; what is there is kept."),
    ],
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="FOLDER",
            help="Cases in PIE-Bench's structure, or the name of a set; by default the set that comes along.",
        ),
    ] = None,
    pairing: Annotated[
        list[str] | None,
        typer.Option(metavar="INVERTER+EDITOR", help="A pairing, or an editor that needs no inversion."),
    ] = None,
    every_pairing: Annotated[bool, typer.Option("--all", help="Every pairing there is.")] = False,
    pairings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A JSON list of recipes, each with a name.")
    ] = None,
    cases: Annotated[int | None, typer.Option(min=1, help="So many cases for every pairing.")] = None,
    per_type: Annotated[int | None, typer.Option(min=1, help="So many cases of each edit type.")] = None,
    use_mask: Annotated[bool, typer.Option("--use-mask", help="Give every editor the mask.")] = False,
    decoded: Annotated[
        bool,
        typer.Option(
            "--decoded",
            help="Show figures of what the model decodes, as published, not of the finished picture.",
        ),
    ] = False,
    structure: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A ViT or DINO, for the structure distance.")
    ] = None,
    clip: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A CLIP model, for the CLIP score.")
    ] = None,
    judge: Annotated[Path | None, typer.Option(metavar="FOLDER", help="What reads attributes.")] = None,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Make nothing: write the tables of what there is.")
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
    steps: o.StepCount = None,
    guidance: o.Guidance = None,
    seed: o.Seed = None,
    solver: o.Solver = None,
    timestep_offset: o.Offset = None,
    encoding: o.Encoding = None,
    model: o.ModelName = None,
    device: o.Device = None,
    precision: o.Precision = None,
    threads: o.Threads = None,
    processes: m.Processes = None,
    ray: m.Ray = None,
) -> None:
    """Measure pairings on many edits: what was left alone, what became of the rest, and what it cost.

    Unless pairings are named, six run on all cases. Others run on six cases of each edit type, those that
    take more than 30 s a case on two. Stop it at any time: the same command goes on from there.
    Exit code 1 if an edit failed.
    """
    with answering(), stoppable():
        if report_only:
            _refuse_empty(output)
        given = ctx.params
        crew = _crew(given, output)
        workshop = compose.workshop(**crew.machine | {"cache_dir": output / "cache"})
        chosen = _case_set(folder, workshop)
        found = read_cases(chosen.folder)
        _tell_refused(found)
        said = o.recipe_of({**given, "method": "reprompt"})
        base = o.settled(said, workshop.registry)
        rows = planned(_chosen(given, said, workshop), found.cases, Choice(cases, per_type), workshop)
        if not any(row.cases for row in rows):
            raise InputError(f"None of these pairings can be run. {rows[0].name}: {rows[0].refusal}")
        scorer = _scorer(given, chosen.judge, workshop)
        results = Results(output)  # which makes the folder, so not before all that can be refused was
        session = Session([*baselines(rows, base), *rows], scorer, results, workshop)
        if old := unused(session.rows, session.keys, results):
            typer.echo(old, err=True)
            if report_only and not any(session.of(row) for row in session.rows if row.is_edit):
                raise InputError(
                    "Nothing there can be used as this command asks.", kept="The tables are as they were."
                )
        write = partial(publish, session, found, base)
        interrupted = not report_only and followed(session, made_by(crew), write)
        header, table = write()
        tell(table, session, header, markdown=markdown)
        if interrupted:
            typer.echo(f"Stopped. What was made is kept in {output}; the same command goes on.", err=True)
            raise typer.Exit(INTERRUPTED)
        if not report_only:  # a run that was stopped wants its inversions again
            workshop.store.clear()
        if any(line.failed for line in table):
            raise typer.Exit(FAILURE)


def _refuse_empty(output: Path) -> None:
    if not (output / LINES).is_file():
        raise InputError(f"{output} holds no results.", advice="Run the command without --report-only first.")


def _crew(given: dict[str, Any], output: Path) -> Crew:
    """Who makes the edits. Inversions are shared where workers see this machine's disk, else not kept at all.

    What a cluster's machines kept of another run would make costs look smaller than they are.
    """
    crew = m.crew_of(given)
    kept = {"cache_dir": (output / "cache").absolute()} if crew.here else {"store_limit_bytes": 0}
    return replace(crew, choices={**crew.choices, **kept})


def _case_set(folder: Path | None, workshop: Workshop) -> CaseSet:
    """The set of that name, or the folder; without either the first set there is. Raises `InputError`."""
    sets = workshop.registry.cases
    if folder is None and not sets:
        raise InputError("No set of cases comes along.", advice="Name a folder of cases.")
    if folder is None:
        return next(iter(sets.values()))
    return sets.get(str(folder)) or CaseSet("", folder.name, folder)


def _tell_refused(found: CaseFolder) -> None:
    for name, why in found.refused.items():
        typer.echo(f"Case {name} is not used: {why}", err=True)


def _chosen(given: dict[str, Any], base: Recipe, workshop: Workshop) -> list[Pairing]:
    """The pairings that options name, the headline ones if they name none. Raises `InputError`.

    `base` says only what options say, so that each pairing's own model speaks for the rest.
    """
    registry = workshop.registry
    names = list(dict.fromkeys(given["pairing"] or ()))
    if given["every_pairing"]:
        names += [name for name in every(registry) if name not in names]
    if not names and given["pairings"] is None:
        names = list(HEADLINE)
    found = [named(name, base, registry) for name in names]
    if given["pairings"] is not None:
        found += from_file(given["pairings"], base)
    # An option says yes for all; a file may have said yes for some.
    said = {name: True for name in ("use_mask", "decoded") if given[name]}
    found = [replace(each, **said) for each in found]
    names = [each.name for each in found]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise InputError(f"There are two pairings called '{twice}'.")
    return [_settled(each, workshop) for each in found]


def _settled(pairing: Pairing, workshop: Workshop) -> Pairing:
    """With typed values. Raises `InputError` for one its method does not take."""
    return replace(pairing, recipe=o.settled(pairing.recipe, workshop.registry))


def _scorer(given: dict[str, Any], own_judge: Path | None, workshop: Workshop) -> Scorer:
    """Whatever networks are named, and the judge of a set of cases if it has one. Raises `ModelError`."""
    from sfumato.benchmark.networks import load_clip, load_structure

    device, cache = workshop.settings.device, workshop.settings.cache_dir
    structure, clip, judge = given["structure"], given["clip"], given["judge"] or own_judge
    return Scorer(
        structure=None if structure is None else load_structure(structure, device, cache),
        clip=None if clip is None else load_clip(clip, device, cache),
        reader=None if judge is None else load_reader(judge),
    )
