"""The instructed sibling's figures: how strongly it is best guided, what it does as told, what it keeps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from sfumato.benchmark.judge import Reader, agrees
from sfumato.method import Recipe
from sfumato.models.wishes import FILE
from starter_model.cases import changed_mask, expected
from starter_model.changes import KINDS, draw_change
from starter_model.config import Settings
from starter_model.making import Maker
from starter_model.measures import Bench
from starter_model.orders import TASKS, Order, draw_order, pictures, sentence
from starter_model.sibling_figures import Figures, Pixels
from starter_model.state import write_json
from starter_model.swaps import masked_decibels
from starter_model.vae import round_trip

EDITORS = ("instruct_pix2pix", "instruct_diffusion")
GUIDANCES = {
    "instruct_pix2pix": ((1.0, 1.5, 2.0, 3.0, 4.0), (1.0, 1.25, 1.5)),
    "instruct_diffusion": ((0.5, 1.0, 1.5, 2.5, 3.5), (0.5, 0.75, 1.0)),
}
"""What is tried of s_T and of s_I; at the first of both an editor's formula gives just what is predicted."""
SWEPT_STEPS = 20
NEARLY = 2
"""By so many of the tried changes a pair of guidances may fall short of the best: that is chance."""
SWEPT_SEED, SEED = 71, 61
FORM = {"mark": "mark the pixels of", "circle": "circle"}
"""What InstructDiffusion's form calls a task, where that is not its name here."""


@dataclass(frozen=True, eq=False)
class Cases:
    """Held-out changes: the pictures (n, H, W, 3), their true results, and what these leave alone (H, W)."""

    orders: tuple[Order, ...]
    shown: Pixels
    truths: Pixels
    kept: tuple[NDArray[np.bool_], ...]

    @classmethod
    def draw(cls, bench: Bench, count: int, seed: int) -> Cases:
        """The ten kinds in turn, always the same for a seed."""
        rng = np.random.default_rng(seed)
        kinds = (KINDS[number % len(KINDS)] for number in range(count))
        orders = tuple(Order(draw_change(kind, bench.words, rng, kept=True)) for kind in kinds)
        shown, truths = zip(*(pictures(order, bench.sprites) for order in orders), strict=True)
        kept = tuple(~changed_mask(a, b) for a, b in zip(shown, truths, strict=True))
        return cls(orders, np.stack(shown), np.stack(truths), kept)

    def made(self, name: str, recipe: Recipe, maker: Maker) -> tuple[Pixels, Pixels]:
        """What the program makes of them: finished, and as decoded."""
        told = [recipe.model_copy(update={"instruction": sentence(order)}) for order in self.orders]
        return maker.made(name, self.shown, told)

    def followed(self, made: Pixels, judge: Reader) -> list[bool]:
        """Whether all that should be there is found in each."""
        pairs = zip(self.orders, judge.read(made), strict=True)
        return [agrees(expected(order.change), reading) for order, reading in pairs]

    def rest(self, made: Pixels, kind: str = "") -> list[float]:
        """dB to the truth on what should stay, of those that keep anything, perhaps of one kind alone."""
        rows = zip(self.orders, made, self.truths, self.kept, strict=True)
        return [
            masked_decibels(picture, truth, mask)
            for order, picture, truth, mask in rows
            if mask.any() and kind in ("", order.kind)
        ]


def mean(values: Sequence[float]) -> float:
    """The mean; 0 of none."""
    return float(np.mean(values)) if len(values) else 0.0


def swept(bench: Bench, settings: Settings, maker: Maker, editor: str) -> list[Figures]:
    """What each pair of guidances reaches on changes that no figure is measured on."""
    cases, rows = Cases.draw(bench, settings.instruct.swept, SWEPT_SEED), []
    start = maker.begun(editor)
    steps = min(SWEPT_STEPS, start.steps)
    for words, picture in product(*GUIDANCES[editor]):
        pair = {"guidance": words, "picture_guidance": picture}
        tried = {"guidance": words, "editor_values": {"picture_guidance": picture}, "steps": steps}
        made, _ = cases.made("swept", start.model_copy(update=tried), maker)
        reached = {"followed": mean(cases.followed(made, bench.judge)), "rest_db": mean(cases.rest(made))}
        rows.append(pair | reached)
        print(f"instruct: {editor} {json.dumps(rows[-1])}", flush=True)
    return rows


def best(rows: Sequence[Figures], count: int) -> Figures:
    """Of the rows that follow about as often as the best of them, the one that keeps the rest best."""
    enough = max(row["followed"] for row in rows) - (NEARLY + 0.5) / count
    return max((row for row in rows if row["followed"] >= enough), key=lambda row: row["rest_db"])


def choose_guidance(bench: Bench, settings: Settings, maker: Maker) -> dict[str, Figures]:
    """The best guidances by editor, written into the model's wishes; what was tried is told beside it."""
    rows = {editor: swept(bench, settings, maker, editor) for editor in EDITORS}
    write_json(maker.folder / "sweep.json", rows)
    names = ("guidance", "picture_guidance")
    found = {editor: best(some, settings.instruct.swept) for editor, some in rows.items()}
    chosen = {editor: {name: row[name] for name in names} for editor, row in found.items()}
    wishes = json.loads((maker.model / FILE).read_text()) | {"editors": chosen}
    write_json(maker.model / FILE, wishes)
    return chosen


def measure_instructed(bench: Bench, settings: Settings, maker: Maker) -> tuple[Figures, Pixels]:
    """How often held-out instructions are followed, by both editors, and what else changes; rows of a strip.

    `vae` figures are of the true results as the VAE gives them back: more cannot be reached as decoded.
    """
    chosen = choose_guidance(bench, settings, maker)
    found = {f"{editor}_{name}": value for editor, row in chosen.items() for name, value in row.items()}
    cases = Cases.draw(bench, settings.instruct.checked, SEED)
    ceiling = round_trip(bench.parts.vae, cases.truths)
    found["truth_followed"] = mean(cases.followed(cases.truths, bench.judge))
    found["vae_followed"] = mean(cases.followed(ceiling, bench.judge))
    found["rest_vae_db"] = mean(cases.rest(ceiling))
    strips = [cases.shown[:10]]
    for editor in EDITORS:
        made, decoded = cases.made("cases", maker.begun(editor), maker)
        reached = reached_by(cases, made, decoded, bench.judge)
        found |= {f"{editor}_{name}": value for name, value in reached.items()}
        strips.append(made[:10])
    strips.append(cases.truths[:10])
    return found | measure_tasks(bench, settings, maker), np.concatenate(strips)


def reached_by(cases: Cases, made: Pixels, decoded: Pixels, judge: Reader) -> Figures:
    """Followed and rest of one editor's results, in all, by number of things and by kind."""
    good = cases.followed(made, judge)
    things = [len(order.change.before.things) for order in cases.orders]
    found = {
        "followed": mean(good),
        "followed_one": mean([hit for hit, count in zip(good, things, strict=True) if count == 1]),
        "followed_two": mean([hit for hit, count in zip(good, things, strict=True) if count == 2]),
        "rest_db": mean(cases.rest(made)),
        "rest_decoded_db": mean(cases.rest(decoded)),
    }
    for kind in KINDS:
        of_kind = [hit for hit, order in zip(good, cases.orders, strict=True) if order.kind == kind]
        name = kind.replace(" ", "_")
        if of_kind:
            found[name] = mean(of_kind)
        if rest := cases.rest(made, kind):
            found[f"{name}_rest_db"] = mean(rest)
    return found


def asked(order: Order, start: Recipe) -> Recipe:
    """A task as a person asks for it in InstructDiffusion's form."""
    values = {**start.editor_values, "task": FORM.get(order.task, order.task)}
    said = "the picture"
    if order.colour:
        values["colour"] = order.colour
        said = f"the {order.change.before.things[order.change.which].word}"
    return start.model_copy(update={"instruction": said, "editor_values": values})


def measure_tasks(bench: Bench, settings: Settings, maker: Maker) -> Figures:
    """Marking, circling, freeing of noise, blur and watermarks: dB to the true result.

    Before and after, finished and as decoded, and of the truth as the VAE gives it back.
    """
    rng, found = np.random.default_rng(62), {}
    each = max(1, settings.instruct.checked // 10)
    start = maker.begun("instruct_diffusion")
    for task in TASKS:
        orders = [draw_order(task, bench.words, rng, kept=True) for _ in range(each)]
        drawn = [pictures(order, bench.sprites) for order in orders]
        shown, truths = (np.stack(some) for some in zip(*drawn, strict=True))
        finished, decoded = maker.made(task, shown, [asked(order, start) for order in orders])
        results = {"before": shown, "after": finished, "decoded": decoded}
        results["vae"] = round_trip(bench.parts.vae, truths)
        whole = np.ones(shown.shape[1:3], bool)
        for name, some in results.items():
            pairs = zip(some, truths, strict=True)
            found[f"{task}_{name}_db"] = mean([masked_decibels(a, b, whole) for a, b in pairs])
    return found
