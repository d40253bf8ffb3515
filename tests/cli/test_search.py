"""Output of `ingest search`."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ingest.cli.parser import build_parser
from ingest.cli.search import format_hit, hit_json
from ingest.config.settings import build_settings
from ingest.models import FigureFilter, Hit
from ingest.runtime.formatting import to_json

FIELDS = {
    "source": "tools/lathe.pdf",
    "root": "/docs",
    "page_start": 3,
    "page_end": 4,
    "page_label": "1",
    "page_labels": ["iii", "1"],
    "content": "The end. Clean the spindle before noon.",
}
HIT = Hit(0.5, FIELDS, page=4, heading="Lathes › Care", excerpt="… Clean the spindle before noon.")


def print_hit(hit: Hit, *, with_root: bool = False, whole: bool = False) -> list[str]:
    return list(format_hit(hit, ["spindle"], with_root=with_root, whole=whole))


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns without colours."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")


def test_a_hit_names_the_page_and_the_heading_of_its_excerpt() -> None:
    """It also shows the document's own page label, if there is one."""
    assert print_hit(HIT) == [
        "tools/lathe.pdf  page 4 (1)  0.5000",
        "Lathes › Care",
        "    … Clean the **spindle** before noon.",
    ]
    for label in ("4", "", None):
        unlabelled = replace(HIT, fields=FIELDS | {"page_label": label})
        assert print_hit(unlabelled)[0] == "tools/lathe.pdf  page 4  0.5000"


def test_a_heading_is_shown_once() -> None:
    """Above the passage, with the words that I asked for marked, and not in it again."""
    hit = replace(HIT, heading="Lathes › Spindle", excerpt="… Lathes\nSpindle\nClean it.")
    assert print_hit(hit)[1:] == ["Lathes › **Spindle**", "    Clean it."]
    alone = replace(hit, excerpt="Spindle")
    assert print_hit(alone)[2:] == ["    **Spindle**"]


def test_with_full_the_whole_chunk_is_printed() -> None:
    """--full prints the whole chunk, with all of its pages."""
    first, _, text = print_hit(HIT, whole=True)
    assert first == "tools/lathe.pdf  pages 3-4 (iii-1)  0.5000"
    one_page = replace(HIT, fields=FIELDS | {"page_end": 3, "page_labels": ["iii"]})
    assert print_hit(one_page, whole=True)[0] == "tools/lathe.pdf  page 3 (iii)  0.5000"
    assert text == "    The end. Clean the **spindle** before noon."


@pytest.mark.parametrize("whole", [False, True])
def test_generated_text_is_never_printed_as_the_documents(whole: bool) -> None:
    """A description is marked with its figure, so that it is not taken for the author's text."""
    about = "Figure 3, page 4, described by gpt-4o"
    text = "Clean spindles last longer."
    generated = {"content": f"[Figure 3, AI-generated]\n{text}", "figure_kind": "chart"}
    hit = replace(HIT, fields=FIELDS | generated, figure=about, excerpt=f"[{about}]\n{text}")
    assert print_hit(hit, whole=whole)[2:] == [f"    [{about}]", f"    {text}"]
    assert hit_json(hit)["figure"] == about


def test_the_filter_of_a_search_is_not_the_setting_of_a_run() -> None:
    """`--figures` has other values in `search` than in `run`."""
    options = build_parser().parse_args(["search", "sales", "--figures", "only"])
    assert FigureFilter(options.figure_filter) is FigureFilter.ONLY
    assert build_settings({"INGEST_FIGURES": "text"}, vars(options)).figures == "text"


def test_roots_and_copies_are_named() -> None:
    """Hits of several roots show their root, and copies are listed in one hit."""
    copied = replace(HIT, also_in=("old/lathe.pdf#page=2",))
    first, *_, last = print_hit(copied, with_root=True)
    assert first.startswith("/docs/tools/lathe.pdf  page 4")
    assert last == "    also in old/lathe.pdf#page=2"


def test_programs_get_page_heading_and_excerpt() -> None:
    """JSON has page, heading and excerpt next to the chunk's fields."""
    found = hit_json(HIT)
    assert (found["event"], found["page"], found["heading"]) == ("hit", 4, "Lathes › Care")
    assert (found["excerpt"], found["also_in"]) == (HIT.excerpt, ())
    assert found["content"] == FIELDS["content"]


def test_nothing_foreign_moves_the_cursor() -> None:
    """Control characters in a document are escaped on my terminal; joiners of Persian stay."""
    evil = "\x1b[2J\x9b1A\u202etxt\ud800"
    fields = FIELDS | {"source": f"{evil}.pdf", "page_label": evil, "content": f"a\u200cb {evil}"}
    fields["page_labels"] = [evil, evil]
    hit = replace(HIT, fields=fields, page=3, heading=evil, excerpt=f"a\u200cb {evil}")
    hit = replace(hit, also_in=(evil,), figure=evil)
    for whole in (False, True):
        text = "\n".join(format_hit(hit, [], with_root=True, whole=whole))
        assert "\\u001b[2J" in text
        assert "a\u200cb" in text
        assert not set(evil[:1] + "\x9b\u202e\ud800") & set(text)
    line = to_json(hit_json(hit))
    assert line.isprintable() or set(filter(lambda c: not c.isprintable(), line)) == {"\u200c"}
    assert json.loads(line)["heading"] == evil
