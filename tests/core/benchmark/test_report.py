"""Tables and the page: the figures that were measured, each with over how many cases."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import replace
from html.parser import HTMLParser
from math import inf, isnan, nan
from pathlib import Path
from urllib.parse import unquote

from sfumato.benchmark.cases import PIE_TYPES, Case, CaseFolder
from sfumato.benchmark.page import page
from sfumato.benchmark.pairings import Pairing
from sfumato.benchmark.plan import Row
from sfumato.benchmark.report import Header, cases_csv, markdown, table_csv
from sfumato.benchmark.results import Result
from sfumato.benchmark.table import Line, lines, mean
from sfumato.events import Cost
from sfumato.method import Recipe
from tests.core.benchmark.conftest import drawn

VOID = {"meta", "img", "br"}


def row(name: str, cases: Iterable[Case], **more: str) -> Row:
    inverter, _, editor = name.rpartition("+")
    return Row(Pairing(name, Recipe(inverter=inverter, editor=editor)), tuple(cases), **more)


def result(name: str, case: Case, *, reused: bool = False, **scores: float) -> Result:
    inversion = Cost() if reused else Cost(50, 10)
    return Result(
        f"{name}{case.id}",
        name,
        case.id,
        picture=f"pictures/{case.id}/{name}.png",
        costs={"inversion": inversion, "edit": Cost(150)},
        seconds={"inversion": 0.0 if reused else 2.0, "edit": 3.0},
        reused=reused,
        scores=scores,
    )


PLACES = {"picture": Path("s.jpg"), "truth": Path("t.png")}
A, B = (replace(drawn(k, str(1 + k)).case, id=name, **PLACES) for k, name in enumerate(("a", "<b> & co")))
ROWS = [
    (
        row("direct+p2p", (A, B)),
        [
            (A, result("direct+p2p", A, psnr_unedit_part=20.0, attributes_right=1.0)),
            (B, result("direct+p2p", B, psnr_unedit_part=inf, attributes_right=0.0)),
        ],
    ),
    (
        row("direct+reprompt", (A, B), lacking="1 case: no <mask>."),
        [
            (A, result("direct+reprompt", A, reused=True, psnr_unedit_part=nan)),
            (B, Result("x", "direct+reprompt", B.id, failure="It fell over.")),
        ],
    ),
    (row("instruct_pix2pix", (), refusal="It needs another model."), []),
]
TABLE = lines(ROWS)
FOLDER = CaseFolder((A, B), {"c": "Its picture c.png is missing."}, PIE_TYPES)
HEADER = Header("Tiny", "cpu", 2, "2 steps", {"clip": "tiny CLIP"}, FOLDER.refused)


def test_means_leave_out_what_is_not_there_and_count_equal_pictures() -> None:
    assert mean([1.0, nan, 3.0]) == 2
    assert mean([20.0, inf]) == 60
    assert isnan(mean([nan]))
    p2p, reprompt, refused = TABLE
    assert (p2p.cases, p2p.means["psnr_unedit_part"], p2p.means["attributes_right"]) == (2, 60, 0.5)
    assert p2p.kinds["1"]["attributes_right"] == 1
    assert p2p.kinds["2"]["attributes_right"] == 0
    assert (reprompt.cases, reprompt.failed) == (1, 1)
    assert isnan(reprompt.means["psnr_unedit_part"])
    assert (refused.cases, refused.refusal) == (0, "It needs another model.")


def test_an_inversion_that_was_found_costs_what_it_cost_who_made_it() -> None:
    for line in TABLE[:2]:
        assert line.means["inversion_rows"] == 60
        assert line.means["inversion_seconds"] == 2
    alone = lines(ROWS[1:2])[0]
    assert isnan(alone.means["inversion_rows"]), "nobody knows"
    assert alone.means["edit_rows"] == 150


def test_the_table_is_one_line_a_pairing_with_all_figures() -> None:
    rows = list(csv.DictReader(io.StringIO(table_csv(TABLE))))
    assert [each["pairing"] for each in rows] == ["direct+p2p", "direct+reprompt", "instruct_pix2pix"]
    assert float(rows[0]["psnr_unedit_part"]) == 60
    assert (rows[0]["clip_similarity_target_image"], rows[1]["failed"]) == ("", "1")
    assert rows[2]["refused"] == "It needs another model."


def test_the_cases_are_one_line_a_pairing_and_case() -> None:
    rows = list(csv.DictReader(io.StringIO(cases_csv(ROWS))))
    assert len(rows) == 4
    assert [each["psnr_unedit_part"] for each in rows] == ["20.0", "inf", "nan", "nan"]
    assert [each["inversion_rows"] for each in rows] == ["60.0", "60.0", "", ""]
    assert rows[3]["failure"] == "It fell over."
    assert rows[1]["case"] == "<b> & co"


def test_markdown_has_what_was_run_in_published_units() -> None:
    table = [Line("a+b", 3, {"mse_unedit_part": 0.0033, "ssim_unedit_part": 0.84}), *TABLE[2:]]
    assert markdown(table).splitlines() == [
        "| pairing | cases | MSE ×10⁴ | SSIM ×10² |",
        "| --- | ---: | ---: | ---: |",
        "| `a+b` | 3 | 33.00 | 84.00 |",
    ]


class Reader(HTMLParser):
    """Notes tags, pictures and text; tags must close as they opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.pictures: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.pictures += [found["src"] or ""] if tag == "img" else []
        self.links += [value or "" for name, value in attrs if name in ("href", "src") and tag != "img"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_pictures_and_says_what_was_not_run() -> None:
    html = page(HEADER, FOLDER, TABLE, ROWS)
    reader = Reader()
    reader.feed(html)
    assert not reader.open
    assert not reader.links, "nothing is loaded but pictures"
    for each in ("1 case: no <mask>.", "It fell over.", "c.png is missing", "another model", "<b> & co"):
        assert each in reader.text
    for each in ("tiny CLIP", "No structure distance", "LPIPS is left out", "change object", "add object"):
        assert each in reader.text
    assert "@media (prefers-color-scheme: dark)" in reader.text
    names = [unquote(each) for each in reader.pictures]
    assert {"pictures/a/source.jpg", "pictures/a/truth.png", "pictures/a/direct+p2p.png"} < set(names)
    assert len(names) == 2 * 2 + 3, "source and truth of two cases, and three edits"
    assert not any(Path(each).is_absolute() or "//" in each for each in names)
