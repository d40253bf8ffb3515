"""An index made anew beside the one in use: nobody notices until it is better."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from ingest.commands.eval.questions import AnswerLocation, Question
from ingest.commands.rebuild.rebuild import RebuildContext, SwitchResult, hold_generation
from ingest.commands.rebuild.rebuild import switch_index as put_in_place
from ingest.commands.rebuild.verify import (
    RebuildProgress,
    copy_run_history,
    find_losses,
    incompleteness,
)
from ingest.errors import BusyError, ConfigError
from ingest.extract.ocr.page_cache import InheritedPageCache
from ingest.index.sqlite.generations import SqliteGenerations
from ingest.index.sqlite.index import SqliteIndex
from ingest.models import (
    CachedPage,
    Details,
    Mode,
    OcrResult,
    Recipe,
    Record,
    SourceResult,
    Summary,
)
from ingest.pipeline.context import Run
from ingest.pipeline.root import ingest_root
from ingest.sources.folder import parse_folder_roots
from tests.conftest import DIMENSIONS, MODEL, Bench, Embeds, dump, vector
from tests.pdfs import prose, set_age, write
from tests.pipeline.test_crash import Crash, Mortal

SMALL, LARGE = 32, 64  # tokens in a chunk


class MortalFolder(SqliteGenerations):
    """Generations whose process dies at the nth change of what readers see."""

    left = 10**9
    when = "before"

    def _change(self, change: Callable[[], object]) -> None:
        self.left -= 1
        if not self.left and self.when == "before":
            raise Crash
        change()
        if not self.left:
            raise Crash

    def switch(self, name: str, fence: Callable[[], None] = lambda: None) -> None:
        go = super().switch
        self._change(lambda: go(name, fence))

    def drop(self, name: str) -> bool:
        go = super().drop
        self._change(lambda: go(name))
        return True


@dataclass
class Library:
    """A folder of documents and the generations of its index, with a stand-in for the model."""

    docs: Path
    place: Path
    model: str = MODEL
    embeds: Embeds = field(default_factory=Embeds)
    tokens: int = LARGE

    @property
    def line(self) -> MortalFolder:
        return MortalFolder(self.place, self.model, DIMENSIONS)

    def bench(self, index: SqliteIndex) -> Bench:
        recipe = Recipe("pypdf", self.tokens, 0.12, self.model, DIMENSIONS)
        return Bench(self.docs, index, self.embeds, recipe, inputs=3)

    @contextmanager
    def opened(self) -> Iterator[SqliteIndex]:
        """The index in use, as a reader has it."""
        index = SqliteIndex(self.place, self.model, DIMENSIONS, create=False)
        yield index
        index.close()

    def run(self) -> None:
        """An ordinary run."""
        index = SqliteIndex(self.place, self.model, DIMENSIONS, create=True)
        index.hold()
        self.bench(index).run()
        index.close()

    def rebuild(  # noqa: PLR0913 - each is what some test is about
        self,
        line: SqliteGenerations | None = None,
        *,
        dies_at: int = 10**9,
        when: str = "before",
        questions: Sequence[Question] = (),
        keep: int = 1,
        run: Run | None = None,
        folders: Sequence[Path] = (),
    ) -> SwitchResult:
        """A rebuild whose process dies at the nth write into the new index."""
        line, run = line or self.line, run or Run("rebuild")
        before = line.current()
        with hold_generation(line, before) as earlier:
            name, index = line.resume_or_create()
            index.close()
            mortal = Mortal(self.place, self.model, DIMENSIONS, create=True, generation=name)
            mortal.left, mortal.when = dies_at, when
            services = replace(self.bench(mortal).services(), previous_index=earlier)
            copy_run_history(earlier, mortal)
            where = list(parse_folder_roots(list(map(str, folders or [self.docs]))))
            try:
                taken = RebuildProgress(frozenset(root.name for root in where))
                for root in where:
                    for event in ingest_root(root, services, run):
                        taken.add(event)
                work = RebuildContext(line, before, name, where, services, lambda _: None)
                return put_in_place(work, taken, run, questions, keep)
            finally:
                services.reader.threads.shutdown()
                services.embed_threads.shutdown()
                mortal.close()

    def contents(self) -> dict[str, object]:
        with self.opened() as index:
            return dump(index)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Three documents, indexed."""
    docs = tmp_path / "docs"
    write(docs / "lathes.pdf", *(prose(topic, 5) for topic in ("lathes", "mills")))
    write(docs / "cranes.pdf", prose("cranes", 5))
    write(docs / "files.pdf", prose("files", 3))
    made = Library(docs, tmp_path / "index")
    made.run()
    return made


def test_a_new_recipe_is_one_switch(library: Library) -> None:
    """Searches use the old chunks until the new ones are complete; the old file stays a while."""
    old = library.contents()
    library.tokens = SMALL
    switched = library.rebuild()

    assert switched.before == "index.db"
    assert switched.index != "index.db"
    assert library.contents() != old
    with library.opened() as index:
        assert {record.outcome for record in index.records()} == {"new"}
        assert index.generation == switched.index
    assert (library.place / "index.db").exists()


def test_what_has_its_vector_already_is_not_embedded_again(library: Library) -> None:
    """The same texts and the same model: a rebuild is free."""
    old, paid = library.contents(), len(library.embeds.texts)
    library.rebuild()

    assert library.contents()["chunks"] == old["chunks"]
    assert len(library.embeds.texts) == paid


def test_only_new_texts_are_embedded_beside_those_reused(library: Library) -> None:
    """The counts close, and a chunk that was copied is not counted as paid for."""
    write(library.docs / "saws.pdf", prose("saws", 12))
    library.embeds.texts.clear()
    line = library.line
    with hold_generation(line, line.current()) as earlier:
        _, index = line.resume_or_create()
        assert isinstance(index, SqliteIndex)
        bench = library.bench(index)
        services = replace(bench.services(), previous_index=earlier)
        (root,) = parse_folder_roots([str(library.docs)])
        found = {
            e.source: e
            for e in ingest_root(root, services, Run("r"))
            if isinstance(e, SourceResult)
        }
        services.reader.threads.shutdown()
        services.embed_threads.shutdown()
        index.close()

    assert found["saws.pdf"].embedded == found["saws.pdf"].chunks == len(library.embeds.texts)
    assert (found["saws.pdf"].reused, found["saws.pdf"].tokens > 0) == (0, True)
    assert found["cranes.pdf"].reused == found["cranes.pdf"].chunks > 0
    assert (found["cranes.pdf"].embedded, found["cranes.pdf"].tokens) == (0, 0)


@pytest.mark.parametrize("when", ["before", "amid", "after"])
def test_a_rebuild_that_dies_at_any_write_is_continued(
    library: Library, tmp_path: Path, when: str
) -> None:
    """After a kill at any write, searches go on unchanged, and the next rebuild continues."""
    library.tokens = SMALL
    start = (library.place / "index.db").read_bytes()
    old = Library(library.docs, library.place).contents()
    library.embeds.texts.clear()
    library.rebuild()
    wanted, texts = library.contents(), sorted(library.embeds.texts)

    for crash in itertools.count(1):
        place = tmp_path / f"{when}{crash}"
        place.mkdir()
        (place / "index.db").write_bytes(start)
        again = Library(library.docs, place, tokens=SMALL)
        died = False
        try:
            again.rebuild(dies_at=crash, when=when)
        except Crash:
            died = True
            assert again.contents() == old, f"died at write {crash}"
            again.rebuild()

        assert again.contents() == wanted, f"died at write {crash}"
        assert len(again.line.names()) == 2
        # Only the batches in flight when it died may be paid for twice.
        assert set(again.embeds.texts) == set(texts)
        assert len(again.embeds.texts) <= len(texts) + 3 * 3
        if not died:
            break
    assert crash > 8


@pytest.mark.parametrize("when", ["before", "after"])
def test_dying_around_the_switch_leaves_one_index_or_the_other(library: Library, when: str) -> None:
    """A kill near the switch leaves either the old or the new index in use, complete."""
    old = library.contents()
    library.tokens = SMALL
    line = library.line
    line.left, line.when = 1, when
    with pytest.raises(Crash):
        library.rebuild(line)
    assert (library.contents() == old) is (when == "before")

    library.rebuild()
    assert library.contents()["chunks"] != old["chunks"]

    line = library.line
    line.left, line.when = 2, when  # the switch, then what is surplus
    with pytest.raises(Crash):
        library.rebuild(line)
    library.rebuild()
    assert len(library.line.names()) == 2


def test_a_search_never_fails_or_comes_back_empty(library: Library) -> None:
    """Searches get answers while indexes are created, switched and removed."""
    over, faults, asked = threading.Event(), list[str](), itertools.count()

    def ask() -> None:
        while not over.is_set():
            try:
                with library.opened() as index:
                    if not index.search("cranes", vector("cranes"), Mode.HYBRID, 3):
                        faults.append("empty")
            except Exception as error:  # noqa: BLE001 - whatever it is, a reader sees it
                faults.append(repr(error))
            next(asked)

    readers = [threading.Thread(target=ask) for _ in range(2)]
    for reader in readers:
        reader.start()
    for size in (SMALL, LARGE, SMALL):
        library.tokens = size
        library.rebuild()
    over.set()
    for reader in readers:
        reader.join()

    assert faults == []
    assert next(asked) > 10


def test_an_open_reader_keeps_what_it_has(library: Library) -> None:
    """A search that began before the switch ends as it began, even if its index is removed."""
    with library.opened() as index:
        library.tokens = SMALL
        library.rebuild(keep=0)
        assert index.search("cranes", vector("cranes"), Mode.HYBRID, 3)
    assert library.line.names() == [library.line.current()]


def test_so_many_are_kept_and_no_more(library: Library) -> None:
    """Only `--keep` older indexes stay on the disk."""
    names = [library.rebuild(keep=2).index for _ in range(4)]
    assert library.line.names() == names[1:]
    assert library.rebuild(keep=0).dropped == names[1:]


def test_what_was_gone_back_from_is_not_the_way_back(library: Library) -> None:
    """After two steps back and a rebuild, the index before is the one that was in use."""
    first, second = library.rebuild(keep=2).index, library.rebuild(keep=2).index
    library.line.switch("index.db")
    switched = library.rebuild()
    assert (switched.index, switched.before, switched.dropped) == (second, "index.db", [first])
    assert library.line.names() == ["index.db", second]


def test_runs_are_held_off_meanwhile(library: Library) -> None:
    """A run must wait for a rebuild, since the switch would lose its writes."""
    line = library.line
    late = SqliteIndex(library.place, MODEL, DIMENSIONS, create=True)
    with (
        hold_generation(line, line.current()),
        pytest.raises(BusyError, match="another run is writing"),
    ):
        late.hold()

    library.rebuild()
    with pytest.raises(BusyError, match="was rebuilt just now"):
        late.hold()
    late.close()
    library.run()


def test_another_model_gets_an_index_of_its_own(library: Library) -> None:
    """The remedy for vectors of another model is to rebuild; only then all is paid for again."""
    old = library.contents()
    other = Library(library.docs, library.place, model="another")
    with pytest.raises(ConfigError, match=r"holds vectors of hash .* ingest rebuild makes a new"):
        other.run()
    other.rebuild()

    assert len(other.contents()["chunks"]) == len(old["chunks"])  # type: ignore[arg-type]
    assert set(other.embeds.texts) == set(library.embeds.texts)


def test_an_index_begun_for_another_model_is_begun_anew(library: Library) -> None:
    """What an unfinished rebuild with another model left is removed."""
    with pytest.raises(Crash):
        Library(library.docs, library.place, model="another").rebuild(dies_at=6)
    library.rebuild()
    assert len(library.line.names()) == 2


def test_a_document_that_turned_bad_is_not_lost(library: Library) -> None:
    """Invariant 5: a document that turned bad would lose its chunks, so nothing is switched."""
    (library.docs / "cranes.pdf").write_bytes(b"%PDF-broken")
    set_age(library.docs / "cranes.pdf")
    with pytest.raises(ConfigError, match=r"lacks .*cranes.pdf .*--max-deletes 1"):
        library.rebuild()
    assert library.line.current() == "index.db"

    library.rebuild(run=Run("r", max_deletes=1))
    assert library.line.current() != "index.db"


def test_a_document_that_turned_bad_between_two_rebuilds_stays(library: Library) -> None:
    """After going back, a document that only the newer index could read keeps its chunks."""
    library.rebuild()
    library.line.switch("index.db")
    (library.docs / "cranes.pdf").write_bytes(b"%PDF-broken")
    set_age(library.docs / "cranes.pdf")
    library.rebuild()
    with library.opened() as index:
        assert index.search("cranes", vector("cranes"), Mode.TEXT, 3)


def test_a_document_that_is_gone_is_no_loss(library: Library) -> None:
    """A rebuild may drop a vanished document, as a run would, unless pruning is off."""
    (library.docs / "files.pdf").unlink()
    with pytest.raises(ConfigError, match=r"files.pdf \(it is gone\)"):
        library.rebuild(run=Run("r", prune=False))
    library.rebuild()
    with library.opened() as index:
        assert index.totals().sources == 2


def test_a_root_that_was_forgotten_is_not_lost(library: Library, tmp_path: Path) -> None:
    """Rebuilding one folder of two is refused before the other one's chunks are lost."""
    other = tmp_path / "more"
    write(other / "anvils.pdf", prose("anvils", 3))
    index = SqliteIndex(library.place, MODEL, DIMENSIONS, create=True)
    bench = library.bench(index)
    bench.folder = other
    bench.run()
    index.close()

    with pytest.raises(ConfigError, match=r"anvils.pdf \(its root was not named\)"):
        library.rebuild()
    library.rebuild(folders=[library.docs, other])
    with library.opened() as index:
        assert index.totals().sources == 4


def test_a_root_that_is_empty_proves_nothing(library: Library) -> None:
    """An unmounted folder has no PDFs, so the rebuild keeps its index."""
    for path in library.docs.iterdir():
        path.unlink()
    with pytest.raises(ConfigError, match="no PDFs at all"):
        library.rebuild()


def test_text_that_came_by_ocr_is_not_lost(tmp_path: Path) -> None:
    """A rebuild without the OCR that read a scan is refused, since its text would be lost."""
    read = Details(scanned=(1, 2), ocr="azure-read")
    scan = Record("/docs", "scan.pdf", "f1", outcome="new", chunks=3, details=read)
    old = SqliteIndex(tmp_path / "old", MODEL, DIMENSIONS, create=True)
    new = SqliteIndex(tmp_path / "new", MODEL, DIMENSIONS, create=True)
    old.save(scan)
    taken = RebuildProgress(frozenset(["/docs"]))
    for details, lost in ((replace(read, ocr=""), 1), (replace(read, ocr="local"), 0)):
        new.save(replace(scan, fingerprint="f2", details=details))
        assert len(list(find_losses(old, new, taken))) == lost
    old.close()
    new.close()


def test_an_index_that_lacks_a_chunk_is_not_shown(library: Library) -> None:
    """Invariant 4: before the switch, every recorded chunk is there, and no other."""
    with library.opened() as index:
        services = library.bench(index).services()
        assert incompleteness(services, 3) == ""
        assert incompleteness(services, 4) == "it has records of 3 of 4 documents"
        chunk = next(index.chunks())
        index.delete([chunk.id])
        assert f"{chunk.source} lacks 1 of" in incompleteness(services, 3)
        services.reader.threads.shutdown()
        services.embed_threads.shutdown()


QUESTIONS = [
    Question(f"what of {topic}?", (AnswerLocation(f"{source}.pdf"),))
    for topic, source in (("cranes", "cranes"), ("files", "files"), ("lathes", "lathes"))
]


def test_an_index_that_answers_worse_is_not_shown(library: Library, tmp_path: Path) -> None:
    """Questions with known answers decide about the switch, and both scores are shown."""
    switched = library.rebuild(questions=QUESTIONS)
    assert switched.scores is not None
    assert (switched.scores.new, switched.scores.old) == (1.0, 1.0)

    (library.docs / "cranes.pdf").unlink()
    with pytest.raises(ConfigError, match=r"fewer questions: 0\.667 of 3 .* the live one 1\.000"):
        library.rebuild(questions=QUESTIONS)
    assert library.line.current() == switched.index


def test_an_index_of_another_model_is_asked_by_words(library: Library) -> None:
    """Vectors of another model cannot be searched, so the comparison uses words and says so."""
    other = Library(library.docs, library.place, model="another")
    scores = other.rebuild(questions=QUESTIONS).scores
    assert scores is not None
    assert (scores.by_words, scores.old) == (True, 1.0)


def test_pages_that_were_paid_for_stay_paid(tmp_path: Path) -> None:
    """A new index takes over the cached pages of the old one."""
    old = SqliteIndex(tmp_path / "old", MODEL, DIMENSIONS, create=True)
    new = SqliteIndex(tmp_path / "new", MODEL, DIMENSIONS, create=True)
    page = CachedPage("a" * 40, "/docs", "scan.pdf", "operation", OcrResult("Spindle", 0.9))
    old.cache_page(page)
    both = InheritedPageCache(new, old)

    assert both.cached_page("b" * 40) is None
    assert both.cached_page(page.key) == page
    assert new.cached_page(page.key) == page
    old.close()
    new.close()


def test_past_runs_are_remembered_by_the_new_index(library: Library) -> None:
    """A new index takes over the history of runs, without counting any twice."""
    counts = {"new": 3}
    with library.opened() as index:
        for n in range(3):
            index.save_run(Summary(f"r{n}", "2026", 1.0, 0, counts, 1, 2, 3, 4, {}, ""))
    library.rebuild()
    library.rebuild()
    with library.opened() as index:
        assert [summary.run for summary in index.runs(9)] == ["r2", "r1", "r0"]


def test_a_damaged_pointer_is_said_to_be_one(library: Library) -> None:
    """A damaged pointer file is an error that says what to delete."""
    for text, words in (
        ("../other.db", "names no index"),
        ("index-20200101t000000.db", "not there"),
    ):
        (library.place / "current").write_text(text)
        with pytest.raises(ConfigError, match=words), library.opened():
            pass


def test_a_pointer_that_cannot_be_read_is_not_to_be_deleted(library: Library) -> None:
    """A wrong permission is told as one: deleting the file would bring back an older index."""
    (library.place / "current").mkdir()
    with pytest.raises(ConfigError, match="check the permissions"), library.opened():
        pass


def test_a_folder_of_another_program_is_left_alone(tmp_path: Path) -> None:
    """An index.db that is not ours is not rebuilt."""
    (tmp_path / "index.db").write_bytes(b"")
    with pytest.raises(ConfigError, match="ingest did not create"):
        SqliteGenerations(tmp_path, MODEL, DIMENSIONS).open("index.db")
    assert (tmp_path / "index.db").read_bytes() == b""
