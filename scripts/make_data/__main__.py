"""Write the sample PDFs: ``python scripts/make_data [CHECKOUT]``.

The same command writes the same bytes every time, so that a change in the samples always means
a change in the texts or in the typesetting, and expected search results can name pages.

``python scripts/make_data --large FILE`` writes one very long PDF instead, for measuring.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from damage import lock, scan, truncate
from documents import typeset_booklet, typeset_guide, typeset_paper, typeset_sheet
from large import typeset_large
from layouts import typeset_newsletter, typeset_old_guide, typeset_price_list, typeset_rota

HERE = Path(__file__).parent
TEXTS = HERE / "texts"
ROOT = HERE.parents[1]


def read(name: str) -> str:
    return (TEXTS / name).read_text(encoding="utf-8")


Makers: TypeAlias = dict[str, Callable[[], bytes]]


def make_samples() -> Makers:
    """Name every sample and say how it is made, in the order in which data/README.md lists them."""
    return {
        "handbook.pdf": lambda: typeset_booklet(read("handbook.md")),
        "benefits/benefits-plan.pdf": lambda: typeset_sheet(
            read("benefits-plan.md"), size=12.5, outline=True
        ),
        "benefits/rota.pdf": lambda: typeset_rota(read("rota.md")),
        "products/product-sheet.pdf": lambda: typeset_sheet(read("product-sheet.md")),
        "products/price-list.pdf": lambda: typeset_price_list(read("price-list.md")),
        "languages/arbeitsordnung.pdf": lambda: typeset_guide(read("arbeitsordnung.md"), "de"),
        "languages/règlement intérieur.pdf": lambda: typeset_guide(
            read("reglement-interieur.md"), "fr"
        ),
        "languages/安全ガイド.pdf": lambda: typeset_guide(read("safety-guide.ja.md"), "ja"),
        "languages/دليل-السلامة.pdf": lambda: typeset_guide(read("safety-guide.ar.md"), "ar"),
        "languages/水位計の手引き.pdf": lambda: typeset_old_guide(read("old-guide.ja.md")),
        "papers/newsletter.pdf": lambda: typeset_newsletter(read("newsletter.md")),
        "papers/two-column.pdf": lambda: typeset_paper(read("two-column.md")),
        "locked/empty-password.pdf": lambda: lock(
            typeset_sheet(read("empty-password.md"), size=13), password="", owner="sales-office"
        ),
        "scans/delivery-note.pdf": lambda: scan(typeset_sheet(read("delivery-note.md"), size=12.5)),
        "scans/letter.pdf": lambda: scan(typeset_sheet(read("letter.de.md"), size=12), [-0.5]),
        "scans/acceptance-form.pdf": lambda: scan(
            typeset_sheet(read("acceptance-form.md"), size=12.5),
            [1.6, -1.3],
            stamp="ACCEPTED 22 MAY",
        ),
    }


def make_broken() -> Makers:
    """Name every sample that cannot be read, and say how it is made."""
    return {
        "needs-password.pdf": lambda: lock(
            typeset_sheet(read("needs-password.md")), password="larkfield", owner="people-office"
        ),
        "truncated.pdf": lambda: truncate(typeset_sheet(read("product-sheet.md"))),
    }


FOLDERS = {"data": make_samples, "tests/data/broken": make_broken}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make_data", description=__doc__.partition("\n")[0])
    parser.add_argument("target", nargs="?", type=Path, default=ROOT, help="checkout to write to")
    parser.add_argument("--large", type=Path, metavar="FILE", help="write one long PDF instead")
    parser.add_argument("--pages", type=int, default=1500, help="how long the long PDF is")
    arguments = parser.parse_args()

    if arguments.large:
        arguments.large.write_bytes(typeset_large(read("handbook.md"), arguments.pages))
        return
    for folder, makers in FOLDERS.items():
        for name, make in makers().items():
            path = arguments.target / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(make())
            print(f"{path.stat().st_size:>9,}  {path}")


if __name__ == "__main__":
    main()
