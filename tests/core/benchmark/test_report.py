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
from sfumato.benchmark.header import Header
from sfumato.benchmark.page import page
from sfumato.benchmark.pairings import Pairing
from sfumato.benchmark.plan import Row
from sfumato.benchmark.report import cases_csv, markdown, shown, table_csv
from sfumato.benchmark.results import Result
from sfumato.benchmark.table import EXACT, Line, lines, mean, seconds_of
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
        inversion=f"of {case.id}",
        scores=scores,
    )


PLACES = {"picture": Path("s.jpg"), "truth": Path("t.png")}
A, B = (replace(drawn(k, str(1 + k)).case, id=name, **PLACES) for k, name in enumerate(("a", "<b> & co")))
ROWS = [
    (
        row("direct+p2p", (A, B)),
        [
            (A, result("direct+p2p", A, psnr_unedit_part=20.0, attributes_right=1.0)),
            (
                B,
                replace(
                    result("direct+p2p", B, psnr_unedit_part=inf, attributes_right=0.0),
                    decoded="pictures/d.png",
                    decoded_scores={"psnr_unedit_part": 20.0},
                    notes=("It was tried <smaller>.",),
                ),
            ),
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
MAKERS = {each.inversion: each for _, scored in ROWS for _, each in scored if not each.reused}
TABLE = lines(ROWS, MAKERS)
FOLDER = CaseFolder((A, B), {"c": "Its picture c.png is missing."}, PIE_TYPES)
HEADER = Header("Tiny", "cpu", 2, "2 steps", {"clip": "tiny CLIP"}, FOLDER.refused)


def test_means_leave_out_what_is_not_there_and_what_is_equal() -> None:
    assert mean([1.0, nan, 3.0]) == 2
    assert mean([20.0, inf]) == 20, "how many cases were untouched is another figure"
    assert mean([nan, inf, inf]) == inf
    assert isnan(mean([nan]))
    p2p, reprompt, refused = TABLE
    assert (p2p.cases, p2p.means["psnr_unedit_part"], p2p.means["attributes_right"]) == (2, 20, 0.5)
    assert p2p.means[EXACT] == 1
    assert isnan(reprompt.means[EXACT]), "no case has a background to compare"
    assert p2p.kinds["1"]["attributes_right"] == 1
    assert p2p.kinds["2"]["attributes_right"] == 0
    assert (reprompt.cases, reprompt.failed) == (1, 1)
    assert isnan(reprompt.means["psnr_unedit_part"])
    assert (refused.cases, refused.refusal) == (0, "It needs another model.")


def test_an_inversion_that_was_found_costs_what_it_cost_who_made_it() -> None:
    for line in TABLE[:2]:
        assert line.means["inversion_rows"] == 60
        assert line.means["inversion_seconds"] == 2
    alone = lines(ROWS[1:2], {})[0]
    assert isnan(alone.means["inversion_rows"]), "nobody knows"
    found = ROWS[1][1][0][1]
    assert (seconds_of(found, MAKERS), seconds_of(found, {})) == (5, 3)
    assert alone.means["edit_rows"] == 150


def test_the_table_is_one_line_a_pairing_with_all_figures() -> None:
    rows = list(csv.DictReader(io.StringIO(table_csv(TABLE))))
    assert [each["pairing"] for each in rows] == ["direct+p2p", "direct+reprompt", "instruct_pix2pix"]
    assert (rows[0]["psnr_unedit_part"], rows[0]["exact"]) == ("20.0", "1.0")
    assert (rows[0]["decoded_psnr_unedit_part"], rows[0]["decoded_exact"]) == ("20.0", "0.0")
    assert rows[0]["notes"] == "1"
    assert (rows[0]["clip_similarity_target_image"], rows[1]["failed"]) == ("", "1")
    assert rows[2]["refused"] == "It needs another model."


def test_the_cases_are_one_line_a_pairing_and_case() -> None:
    rows = list(csv.DictReader(io.StringIO(cases_csv(ROWS, MAKERS))))
    assert len(rows) == 4
    assert [each["psnr_unedit_part"] for each in rows] == ["20.0", "inf", "nan", "nan"]
    assert [each["decoded_psnr_unedit_part"] for each in rows] == ["20.0", "20.0", "nan", "nan"]
    assert (rows[0]["decoded_picture"], rows[1]["decoded_picture"]) == (rows[0]["picture"], "pictures/d.png")
    assert rows[1]["notes"] == "It was tried <smaller>."
    assert [each["inversion_rows"] for each in rows] == ["60.0", "60.0", "60.0", ""]
    assert rows[3]["failure"] == "It fell over."
    assert rows[1]["case"] == "<b> & co"


def test_markdown_has_what_was_run_in_published_units() -> None:
    table = [Line("a+b", 3, {"mse_unedit_part": 0.0033, "ssim_unedit_part": 0.84}), *TABLE[2:]]
    told = markdown(HEADER, table).splitlines()
    begin = told.index("| pairing | cases | MSE ×10⁴ | SSIM ×10² |")
    assert told[begin + 1 : begin + 4] == [
        "| --- | ---: | ---: | ---: |",
        "| `a+b` | 3 | 33.00 | 84.00 |",
        "",
    ]


def test_markdown_says_what_it_was_made_with_and_what_went_wrong() -> None:
    told = markdown(HEADER, TABLE)
    for each in (
        "- CLIP score by tiny CLIP.",
        "- Machine: cpu.",
        "- instruct\\_pix2pix was not run: It needs another model.",
        "- 1 edit failed (direct+reprompt 1): It fell over.",
        "- 1 edit made with a note (direct+p2p 1): It was tried \\<smaller\\>.",
        "- Case c is not used: Its picture c.png is missing.",
    ):
        assert each in told.splitlines()


def test_a_row_that_is_exact_says_so_and_how_many_cases_are_is_counted() -> None:
    exact = lines([(row("blended", (A,)), [(A, result("blended", A, psnr_unedit_part=inf))]), ROWS[0]], {})
    head, cells = shown(exact)
    psnr, count = head.index("PSNR"), head.index("exact")
    assert [(each[psnr], each[count]) for each in cells] == [("exact", "1"), ("20.00", "1")]
    assert next(csv.DictReader(io.StringIO(table_csv(exact))))["psnr_unedit_part"] == "exact"
    html = page(HEADER, FOLDER, exact, [ROWS[0]])
    assert "<td>exact</td><td>1</td>" in html
    assert "not right, background exact" in html


def test_the_same_failure_is_told_once_with_its_number() -> None:
    failed = [(case, Result("x", "a", case.id, failure="It fell over.")) for case in (A, B)]
    table = lines([(row("a", (A, B)), failed), ROWS[1]], {})
    assert "- 3 edits failed (a 2, direct+reprompt 1): It fell over." in markdown(HEADER, table).splitlines()


def test_the_header_says_which_figures_there_are_not_and_of_which_pictures() -> None:
    bare = replace(HEADER, networks={})
    assert not any("ttribute" in each for each in bare.lines())
    assert any(
        "No attribute accuracy, though 3 cases say what must be seen" in each
        for each in replace(bare, expecting=3).lines()
    )
    reader = replace(bare, expecting=3, networks={"attributes": "a reader"})
    assert "Attributes read by a reader." in reader.lines()
    assert any(each.startswith("Measured as") for each in replace(bare, decoded=("a",)).lines())
    assert any(
        each.startswith("a: measured as") for each in replace(bare, decoded=("a",), finished=("b",)).lines()
    )


def test_the_header_says_which_rows_are_of_other_models() -> None:
    told = replace(HEADER, others={"Tiny instructed": ("instruct_pix2pix", "instruct_diffusion")}).lines()
    assert told[1] == "By Tiny instructed: instruct_pix2pix, instruct_diffusion."


def test_the_header_says_whose_the_times_are() -> None:
    assert not any("Times" in each for each in HEADER.lines())
    assert "Times are of one kind of machine: Fast." in replace(HEADER, processors={"Fast": 9}).lines()
    mixed = replace(HEADER, processors={"Slow": 1, "Fast": 9}).lines()
    told = "Times are of several machines and cannot be compared: Fast (9 edits), Slow (1 edits)."
    assert told in mixed


def test_people_see_the_picture_whose_figures_they_see() -> None:
    decoded = replace(ROWS[0][0], pairing=replace(ROWS[0][0].pairing, decoded=True))
    table = lines([(decoded, ROWS[0][1])], {})
    assert table[0].means is table[0].decoded
    html = page(HEADER, FOLDER, table, [(decoded, ROWS[0][1])])
    assert "pictures/d.png" in html
    assert "background 20.0 dB" in html
    assert "It was tried &lt;smaller&gt;." in html


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
