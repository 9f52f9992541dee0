"""The model card: what the model knows, how good it is against the goals, what it was trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starter_model.concepts import concepts
from starter_model.recolour import COLOURS
from starter_model.world import PLACES_OUTSIDE, PLAIN

Report = dict[str, Any]


@dataclass(frozen=True)
class History:
    """How a model came about: views and minutes of each stage, and the denoiser's held-out measures."""

    stages: Mapping[str, Mapping[str, float]]
    log: Sequence[Mapping[str, float]] = ()


@dataclass(frozen=True)
class Goal:
    """A figure with what it should be: at least, or at most."""

    title: str
    figure: Callable[[Report], float]
    least: float | None = None
    most: float | None = None
    needed: str = ""
    """What it would take, where it is missed."""

    def met(self, report: Report) -> bool:
        """Whether the report reaches it."""
        value = self.figure(report)
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def row(self, report: Report) -> str:
        """A table row."""
        wanted = f"at least {self.least:g}" if self.least is not None else f"at most {self.most:g}"
        return (
            f"| {self.title} | {wanted} | {self.figure(report):.3g} | {'yes' if self.met(report) else 'no'} |"
        )


def lost(report: Report, before: str, after: str) -> float:
    """How much smaller the second figure is."""
    return report[before] - report[after]


FINER = (
    "A latent is eight pixels wide, and one at an edge holds some of what changes and some of what should "
    "stay: a finer grid of latents would help, more views hardly do."
)
GOALS = (
    Goal("VAE round trip, held-out composites, dB", lambda r: r["vae_held_out_db"], least=31),
    Goal(
        "VAE round trip, photographs it never saw, dB", lambda r: r.get("vae_photographs_db", 0.0), least=24
    ),
    Goal("one object: right object", lambda r: r["one_objects"], least=0.97),
    Goal("one object: right colour", lambda r: r["one_colours"], least=0.95),
    Goal("one object: right background", lambda r: r["one_background"], least=0.97),
    Goal("two objects: both right", lambda r: r["two_objects"], least=0.85),
    Goal("gradient energy against VAE round trips", lambda r: r["one_edges"], least=0.8),
    Goal(
        "DDIM inversion: lost to the VAE, dB",
        lambda r: lost(r, "inversion_vae_db", "inversion_db"),
        most=1,
    ),
    Goal("one-word changes: new attribute right", lambda r: r["swap_right"], least=0.85),
    *(
        Goal(
            f"one-word changes: rest lost to the VAE {how}, dB",
            lambda r, n=f"swap_{name}_db": lost(r, "swap_vae_db", n),
            most=1,
            needed=FINER,
        )
        for name, how in (("finished", "in the finished picture"), ("rest", "as decoded"))
    ),
    Goal("one guided picture, seconds on two cores", lambda r: r["seconds_per_picture"], most=5),
    Goal("megabytes", lambda r: r["megabytes"], most=60),
    *(
        Goal(f"the judge: {what} of {title}", lambda r, n=f"judge_{name}_{what}": r[n], least=0.98)
        for name, title in (("renders", "held-out renders"), ("round_trips", "their round trips"))
        for what in ("objects", "colours", "background")
    ),
    *(
        Goal(f"the judge: {way} drawings refused", lambda r, n=f"judge_refused_{way}": r[n], least=0.95)
        for way in ("blurred", "blended")
    ),
)

SHEETS = {
    "grid.png": "Held-out prompts of one object, then of two, painted.",
    "inversion.png": "Rows: held-out pictures; as the VAE gives them back; inverted and painted again.",
    "word_swap.png": "Rows: prompts painted; the same noise painted under a prompt with one word changed.",
    "edits.png": (
        "Rows: held-out pictures; one word of their prompt changed by direct inversion and Prompt-to-Prompt, "
        "as the program finishes them; the true results."
    ),
}
"""What is in the sample sheets."""

UNKNOWN = """\
- Anything else. An unknown word falls apart into letters and has next to no meaning for it.
- People, writing, photographs. It can be used on a photograph inside a mask, and paints its own toy-like
  style there.
- Counting, and relations other than beside, left of, right of, on and behind.
"""


def table(goals: Sequence[Goal], report: Report) -> list[str]:
    """The goals beside what was reached, as lines of Markdown."""
    return ["| measure | goal | reached | met |", "|---|---|---|---|", *(goal.row(report) for goal in goals)]


def missing(goals: Sequence[Goal], report: Report) -> Iterator[str]:
    """Which goals are not reached, and what it would take."""
    missed = [goal for goal in goals if not goal.met(report)]
    titles = "; ".join(goal.title for goal in missed)
    yield f"Goals not reached: {titles}." if missed else "Every goal is reached."
    for needed in dict.fromkeys(goal.needed for goal in missed if goal.needed):
        yield from ("", needed)


def more(report: Report, history: History) -> Iterator[str]:
    """What is missing, and what more training would buy, by what the last of it bought."""
    if report:
        yield from missing(GOALS, report)
    rows = [row for row in history.log if "right_600" in row]
    if len(rows) > 5:
        then, now = rows[-1 - len(rows) // 5], rows[-1]
        fallen = 100 * (1 - now["right_600"] / then["right_600"])
        yield ""
        yield (
            f"From {then['views']:,.0f} to {now['views']:,.0f} views the held-out error at step 600 fell by "
            f"{fallen:.1f} % (from {then['right_600']:.5f} to {now['right_600']:.5f})."
        )


LICENCE = """\
Apache-2.0, as the rest of Sfumato. Keep the NOTICE with the weights: it names the artwork and the
photographs that they were trained on."""


def known() -> list[str]:
    """What the model has words for."""
    recoloured = ", ".join(word for word, concept in concepts().items() if concept.natural)
    return [
        f"- {len(concepts())} objects: {', '.join(concepts())}",
        f"- colours {', '.join(COLOURS)}, for: {recoloured}",
        f'- backgrounds: {", ".join(PLAIN)} ("on a red background"), {", ".join(PLACES_OUTSIDE)}',
        '- sizes and places of one object: "a small red apple", "a big cat", "a cat on the left"',
        '- two objects: "a cat and a ball", "a cat on a bicycle", "a cat behind a ball"',
        "",
        'Prompts look like "a small red apple on a blue background" or "a panda in the snow".',
    ]


def counted(report: Report) -> str:
    """On how many pictures the figures rest."""
    changes = report["swap_one_cases"] + report["swap_two_cases"]
    return (
        f"Measured on {report['one_prompts']:.0f} held-out prompts of one object and "
        f"{report['two_prompts']:.0f} of two, {changes:.0f} held-out one-word changes and "
        f"{report['inversion_pictures']:.0f} inversions."
    )


def measured(report: Report) -> list[str]:
    """The goals and all other figures."""
    if not report:
        return ["Not measured yet."]
    numbers = {
        n: value for n, value in report.items() if isinstance(value, float | int) and value is not True
    }
    wrong = report.get("words_wrong", [])
    return [
        counted(report),
        "",
        *table(GOALS, report),
        "",
        f"Painted once each, these are not recognised: {', '.join(wrong) or 'none'}.",
        "",
        "All figures of `python -m starter_model evaluate`:",
        "",
        *(f"- {name}: {value:.4g}" for name, value in numbers.items()),
    ]


def shown(sheet: str) -> list[str]:
    """A sheet with what its rows are."""
    return [f"![{sheet}](samples/{sheet})", "", SHEETS.get(sheet, ""), ""]


def card(report: Report, history: History, weights: dict[str, str], sheets: list[str]) -> str:
    """The card as Markdown; without a whole report it says that nothing was measured."""
    whole = report if "seconds_per_picture" in report else {}
    trained = [
        f"- {stage}: {row['views']:,.0f} views, {row['minutes'] / 60:.1f} hours"
        for stage, row in history.stages.items()
    ]
    sections = {
        "What it knows": known(),
        "What it does not know": [UNKNOWN.rstrip()],
        "How good it is": measured(whole),
        "What more would buy": [*more(whole, history)],
        "Samples": [line for sheet in sheets for line in shown(sheet)] or ["None yet."],
        "How it was trained": ["From nothing, by the recipe in `packaging/starter_model`.", "", *trained],
        "Licence": [LICENCE],
        "Weights (SHA-256)": [f"- `{name}`: `{value}`" for name, value in weights.items()],
    }
    parts = ["# The starter model\n"]
    parts += ["\n".join([f"## {title}", "", *lines, ""]) for title, lines in sections.items()]
    return "\n".join(parts)
