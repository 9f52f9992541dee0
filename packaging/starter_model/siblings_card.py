"""The `measure` stage: a sibling's figures, its sheet and its card, written beside its weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from starter_model.artwork import Sprites
from starter_model.base import base_folder
from starter_model.card import Goal, Report, missing, table
from starter_model.config import Settings
from starter_model.export import hashes
from starter_model.instruct_figures import measure_instructed
from starter_model.judge_stage import trained_judge
from starter_model.making import Maker
from starter_model.measures import Bench
from starter_model.sampling import Parts
from starter_model.sheets import write_sheet
from starter_model.sibling_figures import (
    Figures,
    Pixels,
    measure_controlled,
    measure_turbo,
)
from starter_model.siblings_stage import export_sibling
from starter_model.sources import chosen
from starter_model.state import write_json, write_whole
from starter_model.swaps import opened


def fewer(report: Report) -> float:
    """By how many hundredths the few-step sibling is less often right than the starter, at its worst."""
    parts = ("objects", "colours", "background")
    return 100 * max(report[f"starter_{part}"] - report[f"turbo_{part}"] for part in parts)


@dataclass(frozen=True)
class About:
    """What a card says of a sibling, and what it should reach."""

    title: str
    use: str
    goals: tuple[Goal, ...]
    sheet: str


WHICH = (
    "Of two things in a picture it often takes the wrong one, as the figures for one and for two show and "
    "those of removals and exchanges, and what it paints anew is soft. Its errors still fell when its views "
    "were spent: more of them would help."
)
NEAR = (
    "Pictures painted from the same words without the edges have many edges within two pixels of them "
    "already (`uncontrolled_edges`), and of the true pictures the autoencoder gives not all back "
    "(`vae_edges`): the difference of these two is all that can be gained."
)
ABOUT = {
    "instruct": About(
        "The starter, instructed",
        "For the editors InstructPix2Pix and InstructDiffusion: it sees the picture and reads what to do. Of "
        "InstructDiffusion's tasks it learned to mark a thing and to take off noise; circling one, and "
        "taking off blur and watermarks, it was taught, too, but leaves the picture further from the truth "
        "than it was. The last three are of the whole picture, whatever is named.",
        tuple(
            goal
            for name, title in (
                ("instruct_pix2pix", "InstructPix2Pix"),
                ("instruct_diffusion", "InstructDiffusion"),
            )
            for goal in (
                Goal(
                    f"instructions followed, {title}",
                    lambda r, n=f"{name}_followed": r[n],
                    least=0.9,
                    needed=WHICH,
                ),
                Goal(
                    f"what should stay, {title}, dB to the truth",
                    lambda r, n=f"{name}_rest_db": r[n],
                    least=28,
                    needed=WHICH,
                ),
            )
        ),
        "Rows: the pictures, InstructPix2Pix, InstructDiffusion, the truth.",
    ),
    "control": About(
        "The starter's ControlNet for edges",
        "For the editor ControlNet, with the starter and the control image the preprocessor Edges makes.",
        (
            Goal(
                "edge agreement gained over uncontrolled pictures",
                lambda r: r["controlled_edges"] - r["uncontrolled_edges"],
                least=0.2,
                needed=NEAR,
            ),
        ),
        "Rows: the edges, painted without them, painted along them, along edges drawn four times as finely.",
    ),
    "turbo": About(
        "The starter in four steps",
        "A few-step student: solver ddim, guidance 1. An edit with it takes about a second on one thread of "
        "a processor.",
        (Goal("points less often right than the starter in 50 steps", fewer, most=5),),
        "Rows: the starter in all its steps, this model in few.",
    ),
}


def figures(name: str, state: Path, settings: Settings, bench: Bench, model: Path) -> tuple[Figures, Pixels]:
    """What one sibling reaches, and rows of its sheet."""
    starter, workshop = base_folder(state), opened(state / name / "store")
    maker = Maker(workshop, model, state / name / "made")
    measures: dict[str, Callable[[], tuple[Figures, Pixels]]] = {
        "instruct": lambda: measure_instructed(bench, settings, maker),
        "control": lambda: measure_controlled(bench, settings, starter, model, workshop),
        "turbo": lambda: measure_turbo(bench, settings, starter, model, workshop),
    }
    return measures[name]()


def card(about: About, report: Report, trained: Report, weights: dict[str, str]) -> str:
    """The card as Markdown."""
    lines = [
        f"# {about.title}",
        "",
        about.use,
        "",
        f"Trained from the starter by `packaging/starter_model` on {trained['views']:,.0f} views in "
        f"{trained['minutes']:.0f} minutes.",
        "",
        "## How good it is",
        "",
        *table(about.goals, report),
        "",
        *missing(about.goals, report),
        "",
        "All figures:",
        "",
        *(f"- {name}: {value:.4g}" for name, value in report.items()),
        "",
        "## Samples",
        "",
        f"![{about.sheet}](samples.png)",
        "",
        about.sheet,
        "",
        "## Weights (SHA-256)",
        "",
        *(f"- `{name}`: `{value}`" for name, value in weights.items()),
        "",
    ]
    return "\n".join(lines)


def measure_sibling(name: str, state: Path, settings: Settings, out: Path | None = None) -> Path:
    """Export a sibling, measure it, and write sheet and card into its folder."""
    folder = export_sibling(name, state, settings, out)
    parts = Parts.load(base_folder(state))
    judge, _ = trained_judge(state)
    words = tuple(chosen(settings))
    bench = Bench(parts, judge, Sprites.load(state / "data"), words, settings.evaluation)
    found, strip = figures(name, state, settings, bench, folder)
    report = {each: round(float(value), 4) for each, value in found.items()}
    columns = min(10, getattr(settings, name).checked)
    write_sheet(folder / "samples.png", strip, columns=columns)
    trained = json.loads((folder / "training.json").read_text())
    write_json(folder / "report.json", report)
    write_whole(folder / "MODEL_CARD.md", card(ABOUT[name], report, trained, hashes(folder)).encode())
    print(json.dumps(report))
    return folder
