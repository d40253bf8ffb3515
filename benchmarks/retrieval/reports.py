"""Yearly reports of invented companies as PDFs, and questions about them.

A report never says whose it is: the company and the year stand in the file's name only, in several
spellings, and most of the prose is the same in all of them. So most questions cannot be answered
by what a page says, as with real reports that are asked about in a pile.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import (
    Flowable,
    PageBreak,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    Table,
    TableStyle,
)

YEARS = (2021, 2022, 2023)
# Company, and how its files are named.
COMPANIES = {
    "Northwind Shipping": "Northwind Shipping FY{year}.pdf",
    "Meridian Foods": "meridian-foods_annual_{year}.pdf",
    "Castellan Insurance": "CASTELLAN_INSURANCE_{year}_10K.pdf",
    "Brightwater Utilities": "{year}/brightwater utilities.pdf",
    "Halden Steel": "HaldenSteel-AnnualReport{year}.pdf",
    "Orchard Pharma": "orchard_pharma_FY{short}.pdf",
    "Vantage Rail": "Vantage Rail plc annual report {year}.pdf",
    "Lumen Optics": "lumen-optics-{year}.pdf",
    "Pinecrest Homes": "PINECREST_HOMES_FY{year}.pdf",
    "Sable Mining": "{year}/SableMining_10-K.pdf",
    "Torrent Software": "torrent.software.{year}.annual.pdf",
    "Quayside Hotels": "Quayside Hotels ({year}).pdf",
}
SEGMENTS = ("Domestic", "Europe", "Asia Pacific", "Services")
CITIES = ("Bergen", "Cork", "Porto", "Gdansk", "Lyon", "Turin", "Leeds", "Ghent", "Malmo", "Basel")
CAUSES = (
    "a fire at a warehouse",
    "a ransomware attack",
    "a strike of nine days",
    "the failure of a supplier",
    "a recall of one product line",
    "flooding at two sites",
)
RISKS = """
Our results depend on the general state of the economy. A downturn lowers demand for what we
sell, and customers may delay or cancel orders that they have already placed with us.

We depend on key personnel. If we cannot attract and keep people with the skills we need, our
plans may be delayed and our costs may rise.

We are subject to the laws and regulations of every country in which we operate, and these
change often. Compliance is costly, and failure to comply may lead to fines.

Interruptions of our information systems, whether by accident or by attack, may stop our
operations and expose the data of customers and employees.

The prices of energy and raw materials vary widely. We hedge a part of what we need, but not all
of it, and may be unable to pass higher prices on to our customers.

Exchange rates affect the value of sales made in other currencies when we translate them for our
consolidated statements.

We rely on a limited number of suppliers for certain parts. The loss of one of them may
interrupt our production until another one has been qualified.

Our insurance may not cover every loss, and cover for some risks is no longer to be had at terms
that we consider reasonable.
""".strip().split("\n\n")


def figures(company: str, year: int) -> dict[str, Any]:
    """Draw the figures of a report; the same whenever they are drawn."""
    random = Random(f"{company} {year}")
    revenue = random.uniform(300, 9000)
    segments = {name: revenue * random.uniform(0.1, 0.4) for name in SEGMENTS}
    return {
        "revenue": f"{revenue:,.1f}",
        "cost": f"{revenue * random.uniform(0.5, 0.7):,.1f}",
        "income": f"{revenue * random.uniform(0.05, 0.15):,.1f}",
        "net": f"{revenue * random.uniform(0.02, 0.09):,.1f}",
        "cash": f"{revenue * random.uniform(0.05, 0.3):,.1f}",
        "debt": f"{revenue * random.uniform(0.1, 0.9):,.1f}",
        "inventory": f"{revenue * random.uniform(0.05, 0.2):,.1f}",
        "dividend": f"{random.uniform(0.2, 4):.2f}",
        "buyback": f"{random.uniform(5, 400):.1f}",
        "employees": f"{random.randint(900, 60_000):,}",
        "women": f"{random.uniform(18, 52):.1f}",
        "tax": f"{random.uniform(15, 29):.1f}",
        "research": f"{random.uniform(3, 300):.1f}",
        "emissions": f"{random.randint(20, 900):,}",
        "site": random.choice(CITIES),
        "capacity": f"{random.randint(12, 95)}",
        "cause": random.choice(CAUSES),
        "loss": f"{random.uniform(2, 80):.1f}",
        "segments": {name: f"{value:,.1f}" for name, value in segments.items()},
        "auditor": f"{random.randint(2, 14)}",
        "vacancies": f"{random.randint(20, 900)}",
    }


def file_name(company: str, year: int) -> str:
    """Name the file of a report."""
    return COMPANIES[company].format(year=year, short=str(year)[2:])


def make_reports(folder: Path) -> None:
    """Write all reports into a folder."""
    for company in COMPANIES:
        for year in YEARS:
            path = folder / file_name(company, year)
            path.parent.mkdir(parents=True, exist_ok=True)
            document = SimpleDocTemplate(
                str(path), pagesize=A4, title="Annual report", invariant=True
            )
            document.build(list(story(company, year)))


def story(company: str, year: int) -> Iterator[Flowable]:
    """Yield the contents of a report."""
    styles = getSampleStyleSheet()
    now, before = figures(company, year), figures(company, year - 1)
    random = Random(f"{company} {year} risks")

    def heading(text: str) -> Paragraph:
        return Paragraph(text, styles["Heading1"])

    def prose(text: str) -> Paragraph:
        return Paragraph(text, styles["BodyText"])

    yield heading("Business")
    yield prose(
        "We serve customers in four segments. This report describes the year and the risks that we "
        "face, and contains our consolidated financial statements and the notes to them."
    )
    yield prose(
        f"During the year we opened a new site in {now['site']}, which adds "
        f"{now['capacity']} percent to our capacity. The site was built within its budget, and its "
        "first customers were served before the end of the third quarter."
    )
    yield prose(
        f"Our operations were interrupted by {now['cause']}, which cost us {now['loss']} million. "
        "We have since changed our procedures, and our insurers have accepted a part of the claim."
    )
    yield prose(
        f"Spending on research and development came to {now['research']} million. Most of it went "
        "into projects that we expect to earn their cost within five years."
    )
    yield heading("People")
    yield prose(
        f"At the end of the year we employed {now['employees']} people, of whom {now['women']} "
        f"percent were women. On that day {now['vacancies']} positions were vacant. Agreements "
        "with unions cover about a third of our workforce."
    )
    yield heading("Environment")
    yield prose(
        f"Our direct emissions were {now['emissions']} thousand tonnes of carbon dioxide. We aim "
        "to halve them within ten years, and report our progress in every annual report."
    )
    yield PageBreak()
    yield heading("Risk factors")
    for risk in random.sample(RISKS, 6):
        yield prose(risk)
        yield Spacer(1, 6)
    yield PageBreak()
    yield heading("Consolidated statement of income")
    rows = [("Revenue", "revenue"), ("Cost of sales", "cost"), ("Operating income", "income")]
    yield statement([*rows, ("Net income", "net")], now, before, year)
    yield prose(
        f"The effective tax rate was {now['tax']} percent, compared with {before['tax']} percent "
        "in the year before. The change is mostly due to the mix of countries in which we earn."
    )
    yield heading("Revenue by segment")
    yield table(
        [("million", str(year), str(year - 1))]
        + [(name, now["segments"][name], before["segments"][name]) for name in SEGMENTS]
    )
    yield PageBreak()
    yield heading("Consolidated balance sheet")
    rows = [("Cash and cash equivalents", "cash"), ("Inventories", "inventory")]
    yield statement([*rows, ("Long-term debt", "debt")], now, before, year)
    yield heading("Dividends and share repurchases")
    yield prose(
        f"The board proposes a dividend of {now['dividend']} per share. We bought back shares for "
        f"{now['buyback']} million and cancelled them. The dividend is paid ten days after the "
        "general meeting."
    )
    yield heading("Auditor")
    yield prose(
        f"The present auditor has been in office for {now['auditor']} years. Its fees were "
        "approved by the audit committee, which meets four times a year."
    )


def statement(
    rows: list[tuple[str, str]], now: dict[str, Any], before: dict[str, Any], year: int
) -> Table:
    """Return a table of two years."""
    head = ("million", str(year), str(year - 1))
    return table([head, *((label, now[key], before[key]) for label, key in rows)])


def table(rows: list[tuple[str, ...]]) -> Table:
    """Return a table with lines between its rows."""
    lines = TableStyle([("LINEBELOW", (0, 0), (-1, -1), 0.5, "black")])
    return Table(rows, colWidths=(220, 90, 90), style=lines)


# Questions: in a questioner's words, in the words of the report, and the passage that answers.
ASKED = (
    ("How much did {c} take in during {y}?", "{c} {y} revenue", "Revenue {revenue}"),
    ("What was left of {c}'s business in {y} after tax?", "{c} net income {y}", "Net income {net}"),
    (
        "How many people worked for {c} at the close of {y}?",
        "{c} employed people end of the year {y}",
        "At the end of the year we employed {employees} people, of whom {women} percent were women",
    ),
    (
        "What payout per share did {c} suggest for {y}?",
        "{c} {y} dividend per share proposed by the board",
        "The board proposes a dividend of {dividend} per share",
    ),
    (
        "What went wrong at {c} in {y}, and how expensive was it?",
        "{c} {y} operations interrupted, cost",
        "Our operations were interrupted by {cause}, which cost us {loss} million",
    ),
    (
        "Where did {c} expand in fiscal {y}?",
        "new site opened by {c} in {y}, capacity",
        "During the year we opened a new site in {site}, which adds {capacity} percent to our",
    ),
    (
        "How much did {c} spend on inventing things in {y}?",
        "research and development spending {c} FY{y}",
        "Spending on research and development came to {research} million",
    ),
    (
        "How much CO2 did {c} put out in {y}?",
        "{c} {y} direct emissions carbon dioxide",
        "Our direct emissions were {emissions} thousand tonnes of carbon dioxide",
    ),
    (
        "What share of its profit did {c} pay to the state in {y}?",
        "{c} effective tax rate FY{y}",
        "The effective tax rate was {tax} percent, compared with",
    ),
    ("How much does {c} owe for years to come, {y}?", "{c} long-term debt {y}", "debt {debt}"),
)


def make_questions() -> Iterator[dict[str, object]]:
    """Yield ten questions about each company, over its years in turn; every other in its words."""
    for number, company in enumerate(COMPANIES):
        for place, (plain, literal, passage) in enumerate(ASKED):
            year = YEARS[(number + place) % len(YEARS)]
            question = (plain, literal)[(number + place) % 2]
            yield {
                "question": question.format(c=company, y=year),
                "source": file_name(company, year),
                "passage": passage.format(**figures(company, year)),
                "words": ("questioner", "document")[(number + place) % 2],
            }
