"""The model card: what the model knows, how good it is against the goals, what it was trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starter_model.concepts import concepts
from starter_model.recolour import COLOURS
from starter_model.world import PLACES_OUTSIDE, PLAIN

Report = dict[str, float]


@dataclass(frozen=True)
class Goal:
    """A figure with what it should be: at least, or at most."""

    title: str
    figure: Callable[[Report], float]
    least: float | None = None
    most: float | None = None

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
    Goal(
        "one-word changes: rest lost to the VAE, dB",
        lambda r: lost(r, "swap_vae_db", "swap_rest_db"),
        most=1,
    ),
    Goal("one guided picture, seconds on two cores", lambda r: r["seconds_per_picture"], most=5),
    Goal("megabytes", lambda r: r["megabytes"], most=60),
    Goal("the judge: objects of held-out renders", lambda r: r["judge_renders_objects"], least=0.98),
    Goal("the judge: objects of their round trips", lambda r: r["judge_round_trips_objects"], least=0.98),
    Goal("the judge: spoiled pictures refused", lambda r: r["judge_refused"], least=0.95),
)

UNKNOWN = """\
- Anything else. An unknown word falls apart into letters and has next to no meaning for it.
- People, writing, photographs. It can be used on a photograph inside a mask, and paints its own toy-like
  style there.
- Counting, and relations other than beside, left of, right of, on and behind.
"""


def table(goals: Sequence[Goal], report: Report) -> list[str]:
    """The goals beside what was reached, as lines of Markdown."""
    return ["| measure | goal | reached | met |", "|---|---|---|---|", *(goal.row(report) for goal in goals)]


def card(report: Report, history: dict[str, Report], weights: dict[str, str], sheets: list[str]) -> str:
    """The card as Markdown; without a report it says that nothing was measured."""
    recoloured = ", ".join(word for word, concept in concepts().items() if concept.natural)
    known = [
        f"- {len(concepts())} objects: {', '.join(concepts())}",
        f"- colours {', '.join(COLOURS)}, for: {recoloured}",
        f'- backgrounds: {", ".join(PLAIN)} ("on a red background"), {", ".join(PLACES_OUTSIDE)}',
        '- two objects: "a cat and a ball", "a cat on a bicycle", "a cat behind a ball"',
    ]
    trained = [
        f"- {p}: {row['views']:,.0f} views, {row['minutes']:.0f} minutes" for p, row in history.items()
    ]
    measured = ["Not measured yet."]
    if report:
        rest = [f"- {name}: {value:.4g}" for name, value in report.items()]
        measured = table(GOALS, report)
        measured += ["", "All figures of `python -m starter_model evaluate`:", "", *rest]
    sections = {
        "What it knows": known,
        "What it does not know": [UNKNOWN.rstrip()],
        "How good it is": measured,
        "Samples": [f"![{sheet}](samples/{sheet})" for sheet in sheets] or ["None yet."],
        "How it was trained": ["From nothing, by the recipe in `packaging/starter_model`.", "", *trained],
        "Weights (SHA-256)": [f"- `{name}`: `{value}`" for name, value in weights.items()],
    }
    parts = ["# The starter model\n"]
    parts += ["\n".join([f"## {title}", "", *lines, ""]) for title, lines in sections.items()]
    return "\n".join(parts)
