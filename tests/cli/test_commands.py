"""The real command, in a process of its own, as a person or a script meets it."""

from __future__ import annotations

import json
import re
import shlex
import signal
import sqlite3
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from ingest import __version__
from ingest.config.connections import create_connections
from ingest.config.embedding import create_embedder
from ingest.config.index import open_index
from ingest.config.settings import Settings
from ingest.models import Mode
from tests.conftest import ROOT, Command, environment, fill_once, run_ingest, run_process
from tests.fork_server import running_ingest
from tests.pdfs import prose, write
from tests.processes import Process, start, wait_until

DATA = str(ROOT / "data")
BROKEN = str(ROOT / "tests/data/broken")


def parse_events(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an index of the sample data, and what its two runs said; for reading only."""
    return fill_once(tmp_path_factory, "filled", fill_index)


def fill_index(folder: Path) -> None:
    for name, form in (("first", "--json"), ("again", "-v")):
        done = run_ingest(folder, "run", DATA, form)
        result = {"exit": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
        (folder / f"{name}.json").write_text(json.dumps(result))


def test_the_sample_data_becomes_an_index(filled: Path) -> None:
    """My first run: every file has an outcome, and nothing needs my attention."""
    first, again = (json.loads((filled / f"{n}.json").read_text()) for n in ("first", "again"))

    assert first["exit"] == 0
    *sources, summary = parse_events(first["stdout"])
    assert {str(e["source"]): e["outcome"] for e in sources} == {
        "benefits/benefits-plan.pdf": "new",
        "benefits/rota.pdf": "new",
        "handbook.pdf": "new",
        "languages/arbeitsordnung.pdf": "new",
        "languages/règlement intérieur.pdf": "new",
        "languages/دليل-السلامة.pdf": "new",
        "languages/安全ガイド.pdf": "new",
        "languages/水位計の手引き.pdf": "new",
        "locked/empty-password.pdf": "new",
        "papers/newsletter.pdf": "new",
        "papers/two-column.pdf": "new",
        "products/price-list.pdf": "new",
        "products/product-sheet.pdf": "new",
        "scans/acceptance-form.pdf": "empty",
        "scans/delivery-note.pdf": "empty",
        "scans/letter.pdf": "empty",
    }
    assert summary["event"] == "summary"
    assert summary["exit"] == 0

    assert again["exit"] == 0
    assert "Files:   0 new, 0 changed, 16 unchanged, 0 removed, 0 failed\n" in again["stdout"]


def test_the_broken_samples_show_what_exit_code_3_looks_like(command: Command) -> None:
    """Two broken files are named with their reasons, in each run and in `status`."""
    assert command("run", BROKEN).returncode == 3

    again = command("run", BROKEN)
    assert again.returncode == 3
    assert "Files:   0 new, 0 changed, 0 unchanged, 0 removed, 1 skipped, 1 failed" in again.stdout
    assert "failed    truncated.pdf  damaged; get a new copy from its origin" in again.stderr
    assert "skipped   needs-password.pdf  needs a password" in again.stderr

    status = command("status")
    assert status.returncode == 0
    (root,) = re.findall(r"^Root:    .*/broken  (.*)", status.stdout, re.MULTILINE)
    assert sorted(root.split(", ")) == ["1 failed", "1 skipped"]
    assert "failed   truncated.pdf  damaged" in status.stdout
    assert "skipped  needs-password.pdf  needs a password" in status.stdout


def read_questions() -> list[tuple[str, str, int]]:
    """The questions of data/README.md, with the file and the page that answer them."""
    rows = re.findall(
        r"^\| (.+?) \| .+? \| `(.+?\.pdf)`, pages? (\d+)",
        (ROOT / "data/README.md").read_text(),
        re.MULTILINE,
    )
    return [(question, file, int(page)) for question, file, page in rows]


def test_the_samples_answer_their_questions(filled: Path) -> None:
    """Questions in other words than the text find the right page, sooner by meaning."""
    chosen = Settings(index=str(filled / ".ingest"))
    to = create_connections(chosen)
    model = create_embedder(chosen, to)
    where = open_index(chosen, model, to)
    asked = read_questions()
    assert len(asked) == 15
    for question, file, page in asked:
        for mode, most in ((Mode.HYBRID, 10), (Mode.VECTOR, 3)):
            hits = [
                h.fields for h in where.search(question, model.embed([question])[0], mode, most)
            ]
            places = [(h["source"], h["page_start"], h["page_end"]) for h in hits]
            assert any(s == file and a <= page <= b for s, a, b in places), (question, mode, places)  # type: ignore[operator]
    where.close()


def test_the_samples_score_what_is_claimed(filled: Path, tmp_path: Path) -> None:
    """`ingest eval` prints the figures, and each missed answer with the best hit."""
    asked = tmp_path / "questions.jsonl"
    # Every eighth, as benchmarks/README.md has the figures of all. A question is four percent.
    asked.write_text("".join((ROOT / "data/questions.jsonl").read_text().splitlines(True)[::8]))
    done = run_ingest(filled, "eval", str(asked), "--misses", "2")

    assert done.returncode == 0
    assert re.match(r"26 questions, \.ingest: \d+ chunks\n", done.stdout)
    (hybrid,) = re.findall(r"^hybrid +([\d. ]+)$", done.stdout, re.MULTILINE)
    cited, visible, at_1, _, at_5, *_ = map(float, hybrid.split())
    assert cited >= 0.8  # 0.885 when it was written
    assert visible >= 0.76  # 0.846
    assert at_1 >= 0.5
    assert at_5 >= 0.8  # 0.885
    assert done.stdout.count("    expected  ") == done.stdout.count("    found     ") == 2


def test_what_is_not_in_the_index_is_named(filled: Path, tmp_path: Path) -> None:
    """`eval` names the questions that the index cannot answer, as text and as JSON."""
    path = tmp_path / "asked.jsonl"
    lines = [
        {"question": "How heavy is the LG-7?", "source": "product-sheet.pdf", "pages": [1]},
        {"question": "Who signed?", "truth": "Mr. Hill [contract.pdf#page=2]"},
    ]
    path.write_text("\n".join(map(json.dumps, lines)))

    done = run_ingest(filled, "eval", str(path))
    assert "1 that this index cannot answer" in done.stdout
    assert "contract.pdf page 2\n    but       its document is not in the index" in done.stdout

    *questions, summary = parse_events(run_ingest(filled, "eval", str(path), "--json").stdout)
    assert [q["lacking"] != "" for q in questions] == [False, True]
    assert summary["questions"] == 2
    assert summary["hybrid"]["hit@10"] == 0.5  # type: ignore[index]


def test_recipes_stand_side_by_side(command: Command, tmp_path: Path) -> None:
    """A table compares recipes, and their temporary indexes are removed."""
    write(tmp_path / "docs.pdf", prose("lathes", 25), prose("mills", 25))
    asked = tmp_path / "asked.jsonl"
    asked.write_text(json.dumps({"question": "mills", "source": "docs.pdf", "pages": [2]}))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    compare = ("eval", asked, "docs.pdf", "--compare", "tokens=64")

    done = command(*map(str, compare), TMPDIR=str(temporary))
    assert done.returncode == 0
    assert [line.partition("Z ")[2] for line in done.stderr.splitlines()] == [
        "1 of 2: 512 tokens, overlap 0.12",
        "2 of 2: 64 tokens, overlap 0.12",
    ]
    first, second = re.findall(r"^(\d+) tokens, overlap 0.12 +(\d+) ", done.stdout, re.MULTILINE)
    assert (first[0], second[0]) == ("512", "64")
    assert int(first[1]) < int(second[1])
    # What a nightly run may spend does not leave a side index half filled.
    limited = command(*map(str, compare), TMPDIR=str(temporary), INGEST_MAX_TOKENS="1")
    assert limited.stdout == done.stdout
    assert not list(temporary.glob("ingest-*"))
    assert not (tmp_path / ".ingest").exists()


def test_a_comparison_that_is_stopped_leaves_nothing(command: Command, tmp_path: Path) -> None:
    """A comparison that is stopped, or finds no document, leaves no index behind."""
    write(tmp_path / "docs/tools.pdf", *(prose(f"lathes of kind {n}") for n in range(80)))
    (tmp_path / "empty").mkdir()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    asked = tmp_path / "asked.jsonl"
    asked.write_text(json.dumps({"question": "mills", "source": "docs.pdf"}))

    assert "for --compare: add it" in command("eval", str(asked), "empty").stderr
    nothing = ("eval", str(asked), "empty", "--compare", "tokens=64")
    done = command(*nothing, TMPDIR=str(temporary))
    assert (done.returncode, "no PDF with text in empty" in done.stderr) == (2, True)

    call = ("eval", str(asked), "docs", "--compare", "tokens=64")
    variables = environment() | {"TMPDIR": str(temporary)}
    with running_ingest(*call, cwd=tmp_path, env=variables) as process:
        wait_until(lambda: list(temporary.glob("ingest-*/index.db")))
        process.send(signal.SIGTERM)
        assert process.wait() == 143
    assert not list(temporary.glob("ingest-*"))


def test_a_model_that_is_paid_embeds_nothing_unasked(command: Command, tmp_path: Path) -> None:
    """With a paid model, I read how many tokens a comparison takes before it embeds."""
    write(tmp_path / "docs.pdf", prose("lathes"))
    asked = tmp_path / "asked.jsonl"
    asked.write_text(json.dumps({"question": "lathes", "source": "docs.pdf"}))
    model = {
        "INGEST_EMBEDDER": "http://127.0.0.1:9/v1",
        "AZURE_OPENAI_EMBEDDING_DEPLOYMENT": "text-embedding-3-small",
    }
    compare = ("eval", str(asked), "docs.pdf", "--compare", "tokens=64")
    for most in ((), ("--max-tokens", "0.01k")):
        done = command(*compare, *most, **model)
        assert done.returncode == 2, done.stderr
        assert re.search(
            r"2 recipes takes up to [\d,]+ tokens of http://127.0.0.1:9/v1", done.stderr
        )


def test_an_answer_shows_where_it_stands(filled: Path) -> None:
    """A hit shows file, page, headings, and its lines with my words marked."""
    asked = "search", "when must I bring a doctor's certificate?", "-n", "1"
    done = run_ingest(filled, *asked)

    assert done.returncode == 0
    where, headings, *passage = done.stdout.splitlines()
    assert re.match(r"handbook\.pdf  page 18( \(13\))?  \d\.\d+$", where)
    assert " › " in headings
    assert "**certificate**" in "\n".join(passage)
    assert 2 <= len(passage) <= 11
    whole = run_ingest(filled, *asked, "--full")
    assert len(whole.stdout) > len(done.stdout)


def test_a_word_that_stands_nowhere_is_said(filled: Path) -> None:
    """If no document has a word that I searched for, text and JSON say so."""
    done = run_ingest(filled, "search", "xyzzy", "-n", "1", "--json")

    assert 'no document contains "xyzzy"; the nearest are:' in done.stderr
    (hit,) = parse_events(done.stdout)
    assert hit["missing_words"] == ["xyzzy"]


def test_status_shows_what_the_index_holds(filled: Path) -> None:
    """`status` shows the contents of an index that was filled earlier."""
    done = run_ingest(filled, "status")

    assert done.returncode == 0
    assert re.search(r"Index:   \.ingest holds 16 files, \d+ chunks, \d+ kB", done.stdout)
    assert re.search(r"Root:    .*/data  13 indexed, 3 empty", done.stdout)
    *shown, summary = parse_events(run_ingest(filled, "status", "--json").stdout)
    assert len([e for e in shown if e["event"] == "record"]) == 16
    assert summary["sources"] == 16


def test_status_shows_what_the_last_runs_came_to(filled: Path) -> None:
    """After nightly runs, `status` shows when each ended, how long it took and its outcome."""
    done = run_ingest(filled, "status")

    (last, first, *_) = re.findall(r"^Run:     .*$", done.stdout, re.MULTILINE)
    assert re.search(r"exit 0  \d+ s  16 unchanged; 0 tokens", last)
    assert "13 new, 3 empty" in first
    runs = [
        e
        for e in parse_events(run_ingest(filled, "status", "--json").stdout)
        if e["event"] == "run"
    ]
    assert len(runs) == 2
    assert runs[-1]["stages"]["reading"]["wall"] > 0  # type: ignore[index]


def test_a_plan_changes_nothing(command: Command, tmp_path: Path) -> None:
    """`plan` and --dry-run print what a run would do, to the token, and create no index."""
    write(tmp_path / "docs/a.pdf", prose("lathes"))

    done = command("plan", "docs")

    assert done.returncode == 0
    assert re.search(r"new +a\.pdf  1 pages?, (\d) of \1 chunks", done.stdout)
    assert re.search(r"Chunks:  \d to be embedded \([\d,]+ tokens\)", done.stdout)
    assert command("run", "docs", "--dry-run").stdout == done.stdout
    assert not (tmp_path / ".ingest").exists()


def test_a_plan_leaves_the_index_as_it_is(command: Command, tmp_path: Path) -> None:
    """A plan changes no byte of the index, and estimates the time from past runs."""
    write(tmp_path / "docs/a.pdf", prose("lathes"))
    assert command("run", "docs").returncode == 0
    write(tmp_path / "docs/a.pdf", prose("lathes"), prose("saws"), age=50)
    index = tmp_path / ".ingest"
    before = {path.name: path.read_bytes() for path in index.iterdir()}

    done = command("plan", "docs")

    assert re.search(
        r"Time:    about \d+ s of embedding, at the pace of the last runs", done.stdout
    )
    assert re.search(r"Growth:  \+\d chunks, \+0 records, about [\d.]+ kB\n", done.stdout)
    assert "Cost" not in done.stdout  # of what happens here
    assert {path.name: path.read_bytes() for path in index.iterdir()} == before


def test_a_run_stops_before_it_is_too_much(command: Command, tmp_path: Path) -> None:
    """A run stops before it exceeds my token limit, says so, and continues next time."""
    for name in "abc":
        write(tmp_path / f"docs/{name}.pdf", prose(f"lathes of {name}", 12))
    limited = ("docs", "--max-tokens", "600", "--chunk-tokens", "128")

    planned = command("plan", *limited).stdout
    assert "Limit:   --max-tokens 600 would stop the run after about 1 of 3 documents" in planned
    first = command("run", *limited)
    assert first.returncode == 1
    result = (
        r"stopped at [1-5]\d\d tokens: more would exceed --max-tokens 600; run again to continue"
    )
    assert re.search(result, first.stderr)
    assert re.search(r"Chunks:  [1-9]\d* embedded \([1-5]\d\d tokens\)", first.stdout)
    for _ in range(3):  # one is enough, unless a slow reader has the texts come one by one
        *_, summary = parse_events(command("run", *limited, "--json").stdout)
        assert 0 < summary["spent"]["tokens"] <= 600  # type: ignore[index]
        if summary["exit"] == 0:
            break
    assert summary["exit"] == 0
    assert summary["spent"]["limit"] == ""  # type: ignore[index]
    assert summary["index"]["sources"] == 3  # type: ignore[index]


def test_help_comes_at_once(command: Command, tmp_path: Path) -> None:
    """--help loads no model and opens no index."""
    heavy = ["azure", "numpy", "onnxruntime", "openai", "pypdf", "pypdfium2", "rich", "tenacity"]
    heavy += ["tokenizers", "toktok"]
    code = (
        "import sys, contextlib\nfrom ingest.cli import main\n"
        "with contextlib.suppress(SystemExit): main(['run', '--help'])\n"
        f"print(sorted(set({heavy}) & set(sys.modules)))"
    )
    done = run_process(sys.executable, "-c", code, cwd=tmp_path)
    assert done.stdout.endswith("[]\n")
    assert "--max-deletes" in done.stdout
    assert f"ingest {__version__}\n" == command("--version").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "missing"], "missing: no such folder or file"),
        (["run"], "no root is given: name a folder"),
        (["run", "notes.txt"], "notes.txt: neither a folder nor a .pdf file"),
        (["run", "docs", "--chunk-tokens", "3"], "--chunk-tokens=3: expected from 16 to 8192"),
        (["run", "docs", "--chunk-tokens", "many"], "--chunk-tokens=many: expected a whole number"),
        (["run", "docs", "--workers", "0.5"], "--workers=0.5: expected a whole number"),
        (
            ["run", "docs", "--extractor", "magic"],
            "--extractor=magic: expected auto, pdfium or pypdf",
        ),
        (["search", "x", "-n", "few"], "-n/--top: must be a whole number"),
        (["status", "--max-age", "soon"], "--max-age: must be a time, as in 36h or 2d"),
        (["--json", "status"], "unknown argument: --json (options come after the command)"),
        ([], "exit 2: COMMAND is missing; see ingest --help"),
        (["run", "docs", "--index", "notes.txt"], "notes.txt is a file: name a folder"),
        (["search", "anything"], "is empty or does not exist: ingest run fills it"),
        (["run", "docs", "docs/x"], "lies inside"),
    ],
)
def test_mistakes_get_one_line_and_exit_2(
    command: Command, tmp_path: Path, arguments: list[str], message: str
) -> None:
    """A mistake is one line with its remedy and exit code 2, without a traceback."""
    write(tmp_path / "docs/x/a.pdf", "text")
    (tmp_path / "notes.txt").write_text("x")

    done = command(*arguments)

    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_errors_are_json_too_where_json_is_asked_for(command: Command) -> None:
    """A script that reads my output sees the error in it."""
    (event,) = parse_events(command("run", "missing", "--json").stdout)
    assert event["event"] == "error"
    assert event["exit"] == 2


def test_a_root_without_pdfs_is_an_error_once_it_had_some(command: Command, tmp_path: Path) -> None:
    """An unmounted share is reported; its documents stay in the index until I allow it."""
    write(tmp_path / "docs/a.pdf", "some text")
    assert command("run", "docs").returncode == 0
    (tmp_path / "docs/a.pdf").unlink()

    done = command("run", "docs")

    assert done.returncode == 2
    (reason,) = done.stderr.splitlines()  # the summary on stdout has it, too
    assert "--allow-empty" in reason
    assert "1 file, 1 chunk," in command("status").stdout
    assert command("run", "docs", "--allow-empty").returncode == 0
    assert ".ingest is empty" in command("status").stdout


def test_more_deletions_than_usual_are_asked_for(command: Command, tmp_path: Path) -> None:
    """A run that would delete much exits with 2 and names the option that allows it."""
    for n in range(30):
        write(tmp_path / f"docs/{n}.pdf", f"text {n}")
    command("run", "docs")
    for n in range(12):
        (tmp_path / f"docs/{n}.pdf").unlink()

    done = command("run", "docs")
    assert done.returncode == 2
    assert "more than the limit of 10; --max-deletes 12 removes them" in done.stdout
    assert "12 removed" in command("run", "docs", "--max-deletes", "12").stdout


def test_settings_come_from_flags_then_environment_then_file(
    command: Command, tmp_path: Path
) -> None:
    """Options override the environment, which overrides `.env`."""
    write(tmp_path / "docs/a.pdf", "some text")
    (tmp_path / ".env").write_text("INGEST_INDEX=from-file\nINGEST_ROOT=docs\n")

    assert command("run").returncode == 0
    assert (tmp_path / "from-file").is_dir()
    assert command("run", INGEST_INDEX="from-environment").returncode == 0
    assert (tmp_path / "from-environment").is_dir()
    assert command("run", "--index", "from-flag", INGEST_INDEX="x").returncode == 0
    assert (tmp_path / "from-flag").is_dir()
    assert command("run", INGEST_INDEX="").returncode == 0
    assert not (tmp_path / "x").exists()


def test_two_runs_do_not_meet(command: Command, tmp_path: Path) -> None:
    """A run that starts while another one holds the index exits with 11."""
    from filelock import FileLock

    write(tmp_path / "docs/a.pdf", "some text")
    command("run", "docs")
    with FileLock(tmp_path / ".ingest/lock"):
        done = command("run", "docs")
        assert done.returncode == 11
        assert "another run is writing to .ingest" in done.stderr
        assert command("run", "docs", INGEST_EXIT_OK="11").returncode == 0
        assert command("check", "--repair", INGEST_EXIT_OK="11").returncode == 11
        assert command("search", "text").returncode == 0
    assert command("run", "docs").returncode == 0


def test_an_index_of_a_newer_version_is_exit_2(command: Command, tmp_path: Path) -> None:
    """An older version leaves the index of a newer one unchanged, and says so."""
    write(tmp_path / "docs/a.pdf", "some text")
    command("run", "docs")
    db = sqlite3.connect(tmp_path / ".ingest/index.db")
    db.execute("PRAGMA user_version = 99")
    db.close()

    done = command("run", "docs")
    assert done.returncode == 2
    assert "newer ingest" in done.stderr


def test_nothing_escapes_to_the_terminal(command: Command, tmp_path: Path) -> None:
    """A hostile file name cannot move my cursor or forge a line."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "\x1b[2Jevil\nnew  fake.pdf").write_bytes(b"%PDF-broken")

    done = command("run", "docs", "-v")

    assert "\x1b" not in done.stdout + done.stderr
    assert "\\x1b[2Jevil\\nnew  fake.pdf" in done.stderr


def test_a_closed_pipe_is_no_crash(filled: Path) -> None:
    """`ingest status | head -1` ends quietly."""
    call = f"{shlex.quote(sys.executable)} -P -m ingest status --json | head -1"
    done = run_process("bash", "-o", "pipefail", "-c", call, cwd=filled)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


def test_quiet_and_verbose(command: Command, tmp_path: Path) -> None:
    """-q prints nothing for cron, -v a line for each document."""
    write(tmp_path / "docs/a.pdf", "some text")

    loud = command("run", "docs", "-v")
    assert "new       a.pdf" in loud.stderr
    assert "\nSandbox: " in loud.stdout
    assert "\nSize:    " not in command("status").stdout
    assert re.search("\nSize:    .*vectors ", command("status", "-v").stdout)
    assert "unchanged a.pdf" not in command("run", "docs", "-v").stderr
    assert "unchanged a.pdf" in command("run", "docs", "-vv").stderr
    quiet = command("run", "docs", "-q")
    assert (quiet.stdout, quiet.stderr) == ("", "")


@pytest.mark.parametrize("columns", [40, 100])
def test_progress_is_shown_on_a_terminal(tmp_path: Path, columns: int) -> None:
    """I see how far it is, in a narrow window too, and a tidy screen when it is over."""
    for n in range(3):
        write(tmp_path / f"docs/{n}.pdf", prose(f"topic {n}"))
    with start(
        *(sys.executable, "-P", "-m", "ingest", "run", "docs"),
        cwd=tmp_path,
        env=environment() | {"TERM": "xterm", "COLUMNS": str(columns)},
        stderr="terminal",
    ) as process:
        assert process.wait() == 0

    assert "Files:   3 new" in process.stdout.text
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", process.stderr.text)
    assert re.search(r"3/3 documents, 3 p", text)


def start_run(folder: Path, *arguments: str) -> AbstractContextManager[Process]:
    return running_ingest("run", "docs", "--json", *arguments, cwd=folder, env=environment())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_in_good_order(
    command: Command, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """After ^C, a run finishes the work in progress, and the next one continues."""
    for n in range(60):  # many more than are under way at once
        write(tmp_path / f"docs/{n:02}.pdf", prose(f"topic {n}", 8))
    with start_run(tmp_path, "--workers", "1") as process:
        process.stdout.wait_for("\n")  # the first document is settled
        process.send_group(number)
        assert process.wait() == code

    assert "ingest: stopping" in process.stderr.text
    assert "Traceback" not in process.stderr.text
    summary = parse_events(process.stdout.text)[-1]
    assert summary["exit"] == code
    assert 0 < summary["index"]["sources"] < 60  # type: ignore[index]
    assert "unfinished" not in command("status").stdout

    done = command("run", "docs")
    assert done.returncode == 0
    assert "60 files" in done.stdout


def test_a_second_signal_ends_it_at_once(command: Command, tmp_path: Path) -> None:
    """A second ^C ends the run at once, and the index stays consistent."""
    write(tmp_path / "docs/big.pdf", *(prose(f"topic {n}", 40) for n in range(12)))
    with start_run(tmp_path, "--log", "json") as process:
        process.stderr.wait_for('"event": ?"begin"')
        process.send_group(signal.SIGINT)
        process.stderr.wait_for("stopping")
        process.send_group(signal.SIGINT)
        assert process.wait() == 130

    assert "Traceback" not in process.stderr.text
    assert command("run", "docs").returncode == 0
    assert "1 indexed" in command("status").stdout
