"""The examples do what they say, and the reference says what the code does."""

from __future__ import annotations

import re
import runpy
import sys
from functools import partial
from pathlib import Path
from zipfile import ZipFile

import ingest
from tests.conftest import ROOT, environment, run_ingest, run_process
from tests.fork_server import call_forked, run_script
from tests.pdfs import pdf, prose, write

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
REFERENCE = (ROOT / "docs/api.md").read_text(encoding="utf-8")


def run_example(name: str, *arguments: str, cwd: Path) -> list[str]:
    """Lines that an example prints."""
    function = partial(run_script, ROOT / "examples" / name, *arguments)
    done = call_forked(function, cwd=cwd, env=environment())
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_the_first_example_fills_an_index_that_the_second_asks(tmp_path: Path) -> None:
    """I copy two short programs and have answers with the page they stand on."""
    write(tmp_path / "docs/lathes.pdf", prose("lathes", 3), "Clean the spindle before noon.")
    first = run_example("outcomes.py", "docs", cwd=tmp_path)
    assert first[0] == "new lathes.pdf "
    assert re.fullmatch(r"2 pages read, \d+ tokens embedded", first[1])

    (answer, *_) = run_example("ask.py", "when is the spindle cleaned?", cwd=tmp_path)
    assert answer.startswith("lathes.pdf, page ")

    (snippet,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    done = run_process(sys.executable, "-c", snippet, cwd=tmp_path)
    assert done.stdout.startswith("lathes.pdf unchanged"), done.stderr

    done = run_process(sys.executable, ROOT / "examples/outcomes.py", "nowhere", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        1,
        "nowhere: no such folder or file; check the path\n",
    )


def test_a_root_of_ones_own(tmp_path: Path) -> None:
    """An archive is indexed without being unpacked, and the second time nothing is done."""
    with ZipFile(tmp_path / "papers.zip", "w") as archive:
        archive.writestr("2026/b.pdf", pdf("Saws and their teeth."))
        archive.writestr("2026/a.pdf", pdf("Mills and their stones."))
        archive.writestr("notes.txt", "no PDF")

    first = run_example("own_root.py", "papers.zip", cwd=tmp_path)
    assert sorted(first) == ["new 2026/a.pdf ", "new 2026/b.pdf "]
    again = run_example("own_root.py", "papers.zip", cwd=tmp_path)
    assert again == ["unchanged 2026/a.pdf ", "unchanged 2026/b.pdf "]

    name = f"zip:{tmp_path / 'papers.zip'}"
    gone = run_ingest(tmp_path, "check", "--forget", name)
    assert "Forgot:  2 files, " in gone.stdout, gone.stderr


def test_a_model_of_ones_own(tmp_path: Path) -> None:
    """A function of twenty lines embeds both the documents and the question."""
    write(tmp_path / "docs/mills.pdf", "Mills grind wheat between two stones.")
    write(tmp_path / "docs/saws.pdf", "Saws cut planks with their teeth.")

    (*outcomes, best) = run_example("own_model.py", "docs", "what grinds wheat?", cwd=tmp_path)

    assert sorted(outcomes) == ["new mills.pdf ", "new saws.pdf "]
    assert best == "best: mills.pdf, page 1"


def test_each_example_is_linked_from_the_reference() -> None:
    """The reference links to programs to start from."""
    linked = set(re.findall(r"\.\./examples/(\w+\.py)", REFERENCE))
    assert linked == {path.name for path in EXAMPLES}


def test_the_reference_is_the_code(tmp_path: Path) -> None:
    """What docs/api.md says is what the docstrings say; scripts/make-api-docs writes it anew."""
    script = ROOT / "scripts/make_api_docs.py"
    done = run_process(sys.executable, script, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == REFERENCE


def test_the_reference_has_all_that_is_public_and_nothing_else() -> None:
    """A name I may import is explained, and none that is not mine to use."""
    titles = re.findall(r"^##+ (\w+)$", REFERENCE, re.MULTILINE)
    known = {title for title in titles if hasattr(ingest, title)}
    assert known == set(ingest.__all__)
    shown = re.findall(r"^\s+def (\w+)|`\w+\.(\w+)", REFERENCE, re.MULTILINE)
    assert not [name for names in shown for name in names if name.startswith("_")]


def test_a_quotation_is_cited_by_its_page() -> None:
    """I copy the function, and the citation opens the page of what was quoted."""
    cite = runpy.run_path(str(ROOT / "examples/cite.py"))["cite"]
    hit = {
        "content": "The end.\nClean the spindle\nbefore noon.",
        "page_start": 3,
        "page_offsets": [0, 9],
        "sourcefile": "tools/lathe.pdf",
        "sourcepage": "tools/lathe.pdf#page=4",
    }
    assert cite(hit, "The end.") == "tools/lathe.pdf#page=3"
    assert cite(hit, "spindle before") == "tools/lathe.pdf#page=4"
    assert cite(hit, "something else") == hit["sourcepage"]
    assert cite(hit | {"page_offsets": None}, "The end.") == hit["sourcepage"]
    figure = {"figure_kind": "chart", "figure_label": "Figure 3", "figure_model": "gpt-4o"}
    assert cite(hit | figure, "The end.") == f"{hit['sourcepage']} (Figure 3, described by gpt-4o)"
