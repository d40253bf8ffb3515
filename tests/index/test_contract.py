"""Contract of the index, tested on each back end. A new one is one line in `index`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ingest.azure.token_hosts import SEARCH_SCOPE
from ingest.config.profile import find_profile
from ingest.errors import BusyError, ConfigError
from ingest.index import HYBRID_WEIGHT, MAX_SAVED_RUNS, ChunkStore, Index
from ingest.index.azure.client import DocumentClient
from ingest.index.azure.create import ensure_index
from ingest.index.azure.definition import COMPOUND_ANALYZER_NAME, SearchIndex, build_definition
from ingest.index.azure.foreign import Wanted, ensure_foreign_index, open_foreign_index
from ingest.index.azure.generations import AzureGenerations
from ingest.index.azure.index import AzureIndex
from ingest.index.azure.lease import LEASE_SECONDS
from ingest.index.composite import CompositeIndex, open_state
from ingest.index.schema import CHUNK_FIELD_NAMES, FIGURE_FIELD_NAMES
from ingest.index.sqlite.index import SqliteIndex
from ingest.models import (
    CachedPage,
    Chunk,
    ChunkFigure,
    Details,
    FigureFilter,
    FigureKind,
    Hit,
    IndexEntry,
    KnownRoot,
    Mode,
    OcrResult,
    Outcome,
    Record,
    Source,
    Summary,
)
from ingest.runtime.retry import RetryPolicy
from tests.conftest import DIMENSIONS, MODEL, vector
from tests.emulator.emulator import Azure
from tests.index.foreign_indexes import demo
from tests.runs import managed_token
from tests.test_extending import load_program


@pytest.fixture(params=["local", "azure", "composite"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Index]:
    if request.param == "local":
        opened: Index = SqliteIndex(tmp_path / "index", MODEL, DIMENSIONS, create=True)
    elif request.param == "composite":
        chunks: ChunkStore = load_program("memory_chunks.py")["MemoryChunks"]()
        opened = CompositeIndex(chunks, open_state(tmp_path / "state", MODEL, DIMENSIONS))
    elif request.param == "foreign":
        opened = request.getfixturevalue("foreign")
    else:
        opened = request.getfixturevalue("service")
    yield opened
    opened.close()


# What concerns chunks, which another application's index has in its own layout.
on_any_index = pytest.mark.parametrize(
    "index", ["local", "azure", "foreign", "composite"], indirect=True
)


@pytest.fixture
def service(azure: Azure) -> AzureIndex:
    """An index on the emulator, through the SDK, as a managed identity; reads do not lag."""
    azure.search.delays.search = azure.search.delays.lookup = 0
    made = open_azure(azure.search_endpoint, "contract")
    ensure_index(made, define(made.documents.name))
    return made


def test_who_only_looks_judges_a_lease_by_the_service_s_clock(
    azure: Azure, service: AzureIndex
) -> None:
    """If my clock is fast, I still see that a run on another host is alive."""
    azure.clock.advance(-2 * LEASE_SECONDS)
    service.hold()
    with closing(open_azure(azure.search_endpoint, "contract")) as reader:
        assert reader.seconds_since_write() == 0
    service.close()


@pytest.fixture
def foreign(azure: Azure) -> AzureIndex:
    """An index that the demo's prepdocs made, and that of its records."""
    azure.search.delays.search = azure.search.delays.lookup = 0
    definition = demo(DIMENSIONS) | {"name": "contract"}
    with open_azure(azure.search_endpoint, "contract").documents.indexes as indexes:
        indexes.create_index(SearchIndex(definition))
    profile = find_profile("azure-search-openai-demo")
    made = open_foreign_index("contract", profile, partial(connect, azure.search_endpoint))
    made.filled_by = (MODEL, DIMENSIONS)
    wanted = build_definition("contract", DIMENSIONS, "standard.lucene", None, profile)
    ensure_foreign_index(made, Wanted(profile, wanted, lambda: MODEL))
    return made


def connect(endpoint: str, name: str) -> DocumentClient:
    token = managed_token(SEARCH_SCOPE)
    return DocumentClient(endpoint, name, token, RetryPolicy(), may_be_absent=False)


def open_azure(endpoint: str, name: str) -> AzureIndex:
    return AzureIndex(connect(endpoint, name), (MODEL, DIMENSIONS))


def define(name: str) -> SearchIndex:
    return build_definition(name, DIMENSIONS, COMPOUND_ANALYZER_NAME, None)


DETAILS = Details(author="A. Miller", created="2024-05-01T10:00:00Z", language="en", missing=(3, 7))
SOURCE = Source("/docs", "tools/mill.pdf", "/docs/tools/mill.pdf", 10, "1")


def save_all(index: Index, records: list[Record]) -> None:
    """Save records and wait for all of them, so that they share requests."""
    for saved in [index.save(record) for record in records]:
        saved.result()


def entry(id_: str, text: str, ordinal: int = 0) -> IndexEntry:
    chunk = Chunk(
        id_, text, 5, ordinal, 0, len(text), 3, 4, ("iii", "1"), ("Tools", "Mills"), 0.875
    )
    url = "file:///docs/tools/mill.pdf"
    return IndexEntry(SOURCE, url, "finger", "All tools", chunk, vector(text), DETAILS)


A = entry("a" * 40, "The mill turns the grain into flour.")
B = entry("b" * 40, "A lathe turns wood; its spindle is oiled in March.")
C = entry("c" * 40, "旋盤は木材を回します。")
RECORD = Record(
    root="/docs",
    source="tools/mill.pdf",
    fingerprint="finger",
    code="pages-missing",
    details=DETAILS,
    size=10,
    modified="1",
    pages=4,
    empty_pages=1,
    tokens=15,
    outcome=Outcome.NEW,
    committed=("a" * 40, "b" * 40),
    pending=("c" * 40,),
    chunks=2,
    settled="2026-01-02T03:04:05+00:00",
    run="r1",
)


def ids(index: Index, text: str, mode: Mode, top: int = 5) -> list[object]:
    return [hit.fields["id"] for hit in index.search(text, vector(text), mode, top)]


@on_any_index
def test_what_is_uploaded_is_found(index: Index) -> None:
    """By its words, by its meaning, and by both."""
    assert index.upload([A, B, C]) == []

    assert ids(index, "spindle oiled", Mode.TEXT) == [B.chunk.id]
    assert ids(index, A.chunk.text, Mode.VECTOR)[0] == A.chunk.id
    assert ids(index, B.chunk.text, Mode.HYBRID)[0] == B.chunk.id
    assert len(ids(index, A.chunk.text, Mode.VECTOR, top=2)) == 2


@pytest.mark.parametrize("index", ["local", "azure"], indirect=True)
@pytest.mark.parametrize(
    ("written", "question"),
    [
        ("The COVID-19 pandemic", "COVID19"),
        ("The COVID19 pandemic", "covid-19"),
        ("The COVID\u201119-Impfung", "Covid19Impfung"),
        ("A longterm plan", "long-term"),
        ("A long-\nterm plan", "longterm"),
        ("A state-of-the-art lathe", "stateoftheart"),
        ("Part ＡＢ１", "ab1"),
        ("Part AB1", "ＡＢ１"),
    ],
)
def test_both_spellings_of_a_compound_are_found(index: Index, written: str, question: str) -> None:
    """With a hyphen or without one, in full-width letters or plain ones."""
    said = entry("d" * 40, written)
    index.upload([A, B, C, said])

    assert ids(index, question, Mode.TEXT)[:1] == [said.chunk.id]


@pytest.mark.parametrize("index", ["local", "azure"], indirect=True)
@pytest.mark.parametrize("weight", [HYBRID_WEIGHT, 3.0])
def test_both_rankings_add_up_by_their_weights(index: Index, weight: float) -> None:
    """As INGEST_HYBRID_WEIGHT says: by scores here, and by ranks on a service."""
    index.upload([A, B, C])
    index.hybrid_weight = weight
    asked = vector(A.chunk.text)
    cosines = {h.fields["id"]: h.score for h in index.search("", asked, Mode.VECTOR, 3)}
    if isinstance(index, AzureIndex):
        expected = {id_: weight / (60 + rank) for rank, id_ in enumerate(cosines)}
        expected[B.chunk.id] += 1 / 60
    else:
        low, high = min(cosines.values()), max(cosines.values())
        scaled = {id_: (cosine - low) / (high - low) for id_, cosine in cosines.items()}
        expected = {id_: weight * share / (1 + weight) for id_, share in scaled.items()}
        index.hybrid_weight = 0
        (by_words, *_) = index.search("spindle", asked, Mode.HYBRID, 5)
        assert by_words.fields["id"] == B.chunk.id
        assert 0.5 < by_words.score <= 1
        index.hybrid_weight = weight
        expected[B.chunk.id] += by_words.score / (1 + weight)

    hits = index.search("spindle", asked, Mode.HYBRID, 5)
    assert {hit.fields["id"]: hit.score for hit in hits} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("index", ["local", "azure"], indirect=True)
def test_what_stands_in_the_name_only_is_found(index: Index) -> None:
    """Of reports alike, the one of the company and the year that I ask for."""
    names = [f"{name}_FY{year}.pdf" for name in ("AcmeSteel", "globex") for year in (21, 22)]
    text = "Revenue rose by a tenth."
    for number, name in enumerate([*names, "Initech 2023.pdf"]):
        made = entry(f"{number:040x}", f"{text} {number}")
        index.upload([replace(made, source=replace(SOURCE, name=name), title="")])

    def first(question: str) -> object:
        return index.search(question, None, Mode.TEXT, 1)[0].fields["source"]

    assert first("revenue of Acme Steel in 2022") == "AcmeSteel_FY22.pdf"
    assert first("globex revenue FY2021") == "globex_FY21.pdf"
    assert first("Initech FY23") == "Initech 2023.pdf"


@on_any_index
def test_copies_of_a_text_are_one_hit(index: Index) -> None:
    """A file that was copied eighty times takes one place, which names the copies' pages."""
    places = [replace(SOURCE, name=f"copies/{number:02}.pdf") for number in range(79)]
    copies = [
        replace(A, source=place, chunk=replace(A.chunk, id=f"{number:040x}"))
        for number, place in enumerate([*places, replace(SOURCE, root="/other")])
    ]
    index.upload([A, *copies, B, C])

    for mode in (Mode.HYBRID, Mode.VECTOR, Mode.TEXT):
        hit, *others = index.search("grain", vector(A.chunk.text), mode, 2)

        pages = {*hit.also_in, str(hit.fields["sourcepage"])}
        assert hit.fields["content"] == A.chunk.text
        assert len(hit.also_in) == len(pages) - 1 == len(copies)
        assert {f"{place.name}#page=3" for place in places} < pages
        assert [other.also_in for other in others] == ([] if mode is Mode.TEXT else [()])


def test_words_are_found_in_scripts_without_spaces(index: Index) -> None:
    """Two characters inside a Japanese sentence are enough."""
    index.upload([A, B, C])
    assert ids(index, "木材", Mode.TEXT) == [C.chunk.id]


QUESTIONS = [
    "lathe -20",
    "lathe --20 - ",
    "lathe +absent",
    "(lathe",
    'lathe "never closed',
    '"lathe spindle"',
    "lathe | (",
    "lat* lathe*",
    "lathe\\",
    "'lathe'",
    "NOT lathe NEAR",
]


def test_a_question_is_text_and_not_syntax(index: Index) -> None:
    """Whatever signs are in my question, the chunks with its words are found, and no others."""
    index.upload([A, B, C])
    found = {question: ids(index, question, Mode.TEXT) for question in QUESTIONS}
    assert found == {question: [B.chunk.id] for question in QUESTIONS}


def test_a_hit_has_the_fields_of_the_index(index: Index) -> None:
    """Applications that read the samples' fields find them, and ours beside them."""
    sections = ("Tools › Grain mills",)
    chunk = replace(A.chunk, page_offsets=(0, 9), section_offsets=(4,), sections=sections)
    index.upload([replace(A, chunk=chunk)])

    (hit,) = index.search("grain", None, Mode.TEXT, 5)

    assert tuple(hit.fields) == CHUNK_FIELD_NAMES
    assert hit.fields == {
        "id": "a" * 40,
        "content": "The mill turns the grain into flour.",
        "category": "tools",
        "sourcepage": "tools/mill.pdf#page=4",
        "sourcefile": "tools/mill.pdf",
        # The path of a local file says nothing to the others who use a service's index.
        "storageUrl": None if isinstance(index, AzureIndex) else "file:///docs/tools/mill.pdf",
        "title": "All tools",
        "headings": ["Tools", "Mills"],
        "page_start": 3,
        "page_end": 4,
        "page_label": "iii",
        "page_labels": ["iii", "1"],
        "ordinal": 0,
        "kind": "chunk",
        "root": "/docs",
        "source": "tools/mill.pdf",
        "fingerprint": "finger",
        "author": "A. Miller",
        "language": "en",
        "created": "2024-05-01T10:00:00Z",
        "confidence": 0.875,
        "page_offsets": [0, 9],
        "sentence_offsets": [0],
        "section_offsets": [4],
        "sections": ["Tools › Grain mills"],
        **dict.fromkeys(FIGURE_FIELD_NAMES),
        "figure_box": [] if isinstance(index, AzureIndex) else None,
    }


@on_any_index
def test_the_description_of_a_figure_says_so_in_its_fields(index: Index) -> None:
    """My application tells generated text from the author's, and can filter it."""
    about = ChunkFigure(FigureKind.CHART, (0.1, 0.25, 0.9, 0.5), "gpt-4o", "ab.png", "Figure 3")
    chart = replace(B, chunk=replace(B.chunk, text=A.chunk.text + "!", figure=about))
    index.upload([A, chart])

    def ask(figures: str, mode: Mode) -> list[Hit]:
        kind = FigureFilter(figures)
        asked = vector(A.chunk.text)
        return index.search_permitted("grain", asked, mode, 5, None, figures=kind)

    (hit,) = ask("only", Mode.TEXT)
    assert {name: hit.fields[name] for name in FIGURE_FIELD_NAMES} == {
        "figure_kind": "chart",
        "figure_label": "Figure 3",
        "figure_model": "gpt-4o",
        "figure_box": [0.1, 0.25, 0.9, 0.5],
        "figure_image": "ab.png",
    }
    assert hit.fields["kind"] == "chunk"
    for mode in Mode:
        assert [hit.fields["id"] for hit in ask("only", mode)] == [B.chunk.id]
        assert [hit.fields["id"] for hit in ask("exclude", mode)] == [A.chunk.id]
        assert len(ask("include", mode)) == 2


def test_an_applications_index_of_the_last_version_is_searched(
    foreign: AzureIndex, azure: Azure
) -> None:
    """Before the first run of this version, the records of its chunks have no such fields."""
    records = azure.search.indexes["contract-ingest"].definition
    records["fields"] = [f for f in records["fields"] if f["name"] not in FIGURE_FIELD_NAMES]
    with closing(foreign) as index:
        assert index.upload([A]) == []
        for figures, count in (("include", 1), ("exclude", 1), ("only", 0)):
            kind = FigureFilter(figures)
            hits = index.search_permitted("mill", None, Mode.TEXT, 9, None, figures=kind)
            assert len(hits) == count


def test_uploading_again_changes_nothing(index: Index) -> None:
    """A request that was repeated because its answer was lost leaves no second copy."""
    index.upload([A, B])
    index.upload([A, B])

    assert index.totals().chunks == 2
    assert ids(index, "grain", Mode.TEXT) == [A.chunk.id]


@on_any_index
def test_a_chunk_without_a_vector_is_moved_and_keeps_the_one_it_has(index: Index) -> None:
    """Invariant 3: a page inserted in front costs no embedding."""
    index.upload([A, B])
    moved = replace(A, vector=None, chunk=replace(A.chunk, page_start=9, page_end=9))

    assert index.upload([moved]) == []

    (hit, *_) = index.search("", vector(A.chunk.text), Mode.VECTOR, 1)
    assert (hit.fields["id"], hit.fields["page_start"]) == (A.chunk.id, 9)


@on_any_index
def test_moving_what_is_not_there_is_refused(index: Index) -> None:
    """Invariant 4: a chunk that would have no vector is named, not written."""
    (refusal,) = index.upload([replace(B, vector=None)])

    assert refusal.id == B.chunk.id
    assert index.totals().chunks == 0


@on_any_index
def test_what_is_deleted_is_gone(index: Index) -> None:
    """No search finds a deleted chunk, and deleting it again is no error."""
    index.upload([A, B])

    assert index.delete([A.chunk.id, "unknown"]) == []
    assert index.delete([A.chunk.id]) == []

    assert ids(index, "grain", Mode.TEXT) == []
    assert ids(index, A.chunk.text, Mode.HYBRID) == [B.chunk.id]
    assert index.totals().chunks == 1


@on_any_index
def test_held_says_which_chunks_are_there(index: Index) -> None:
    """`existing_ids` tells which chunks exist, however many are asked for."""
    index.upload([A, B])
    many = [f"{n:040}" for n in range(1_200)]

    assert index.existing_ids([*many, A.chunk.id, B.chunk.id]) == {A.chunk.id, B.chunk.id}
    assert index.existing_ids([]) == set()


def test_a_record_comes_back_whole(index: Index) -> None:
    """All that a run wrote about a source, the next one reads."""
    index.save(RECORD).result()
    assert index.record("/docs", "tools/mill.pdf") == RECORD
    assert index.record("/docs", "other.pdf") is None

    index.save(replace(RECORD, pending=(), pages=3)).result()
    assert index.record("/docs", "tools/mill.pdf") == replace(RECORD, pending=(), pages=3)


def test_records_are_listed_in_order_without_their_ids(index: Index) -> None:
    """Thousands of sources, in the order of their names, root by root."""
    names = [f"{'äbc'[n % 3]}/{n}.pdf" for n in range(1_200)]
    save_all(index, [replace(RECORD, source=name) for name in names])
    index.save(replace(RECORD, root="/another", source="z.pdf")).result()

    listed = list(index.records("/docs"))
    assert [record.source for record in listed] == sorted(names)
    assert listed[0] == replace(RECORD, source=min(names), committed=(), pending=())
    assert [r.root for r in index.records()] == ["/another"] + ["/docs"] * 1_200


def test_records_may_be_saved_while_they_are_listed(index: Index) -> None:
    """The plan is read while the run goes on; each source comes up once."""
    save_all(index, [replace(RECORD, source=f"{n:05}") for n in range(1_200)])

    seen = []
    for record in index.records("/docs"):
        seen.append(record.source)
        if len(seen) % 20 == 0:
            index.save(replace(record, pages=99)).result()

    assert seen == sorted(seen)
    assert len(seen) == len(set(seen)) == 1_200


def test_a_record_can_be_forgotten(index: Index) -> None:
    """After a source is forgotten, nothing of its record is left."""
    index.save(RECORD).result()
    index.forget(RECORD)
    assert index.record("/docs", "tools/mill.pdf") is None
    assert index.totals().sources == 0


def test_records_are_no_answers(index: Index) -> None:
    """A search never returns the records of sources."""
    index.save(RECORD).result()
    for mode in Mode:
        assert ids(index, "mill finger docs", mode) == []


@pytest.mark.parametrize("text", ["", "   ", '"', "OR AND NOT", "a" * 2_000, "\0", "(*)"])
def test_any_question_gets_an_answer(index: Index, text: str) -> None:
    """No question is an error."""
    index.upload([A])
    for mode in Mode:
        assert isinstance(ids(index, text, mode), list)


def summary(number: int) -> Summary:
    counts = {"new": number, "failed": 0}
    stages = {"reading": {"wall": 1.5, "threads": 2.5}}
    ended = f"2026-11-24T09:{number // 60:02}:{number % 60:02}+00:00"
    return Summary(f"r{number:03}", ended, 1.5, 0, counts, 1, 2, 3, 4, stages, "reading … 90%")


def test_the_last_runs_are_remembered_newest_first(index: Index) -> None:
    """I see what the last nights came to, and nothing of it is found by a search."""
    assert index.runs(5) == []
    for number in range(3):
        index.save_run(summary(number))

    assert index.runs(2) == [summary(2), summary(1)]
    assert index.totals().sources == index.totals().chunks == 0
    assert index.search("reading", vector("reading"), Mode.HYBRID, 5) == []


def test_runs_of_long_ago_are_forgotten(index: Index) -> None:
    """A job that runs every hour does not fill the index with itself."""
    for number in range(MAX_SAVED_RUNS + 3):
        index.save_run(summary(number))

    kept = index.runs(1000)
    assert len(kept) == MAX_SAVED_RUNS
    assert kept[-1] == summary(3)


def page(number: int, source: str = "tools/mill.pdf") -> CachedPage:
    text = OcrResult(f'Spindle {number}, "über" 木材\n| a |', 0.9375)
    return CachedPage(f"{number:040x}", "/docs", source, f"operation-{number}", text)


def test_pages_that_were_paid_for_are_kept(index: Index) -> None:
    """At once, whole, and whatever becomes of the document; asked for in any thread."""
    assert index.cached_page(page(1).key) is None
    waiting = replace(page(1), recognised=None)
    index.cache_page(waiting)
    assert index.cached_page(waiting.key) == waiting

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda n: index.cache_page(page(n)), range(1, 9)))
        found = threads.map(lambda n: index.cached_page(page(n).key), range(1, 9))
        assert list(found) == [page(n) for n in range(1, 9)]


def test_pages_that_were_paid_for_are_no_answers(index: Index) -> None:
    """A search never returns cached pages."""
    index.cache_page(page(1))
    for mode in Mode:
        assert ids(index, "spindle", mode) == []
    assert (index.totals().sources, index.totals().chunks) == (0, 0)
    assert list(index.records()) == []


def test_pages_are_forgotten_with_their_source(index: Index) -> None:
    """And those of others stay, however many there are; one that a copy has too becomes its own."""
    for number in range(3):
        index.cache_page(page(number))
    index.cache_page(page(9, "other.pdf"))
    copies = (("/docs", "gone.pdf"), ("/docs", "copy.pdf"))
    index.cache_page(replace(page(5), others=copies))
    scanned = replace(RECORD, details=replace(DETAILS, scanned=(1, 2, 3)))
    index.save(scanned).result()
    index.save(replace(scanned, source="copy.pdf")).result()
    index.forget(replace(RECORD, details=Details()))  # edited since: it has no scans any more
    assert [index.cached_page(page(number).key) for number in range(3)] == [None] * 3
    assert index.cached_page(page(9).key) == page(9, "other.pdf")
    inherited = replace(page(5, "copy.pdf"), others=copies[:1])
    assert index.cached_page(page(5).key) == inherited


def test_every_chunk_can_be_gone_through(index: Index) -> None:
    """All chunks of an index, or of one source, can be listed."""
    other = replace(C, source=replace(SOURCE, name="other.pdf"))
    index.upload([B, A, other])

    assert [chunk.id for chunk in index.chunks()] == [A.chunk.id, B.chunk.id, C.chunk.id]
    assert [chunk.id for chunk in index.chunks("/docs", "other.pdf")] == [C.chunk.id]
    assert list(index.chunks("/elsewhere")) == []
    first = next(index.chunks())
    assert (first.text, first.headings, first.page_start) == (A.chunk.text, ("Tools", "Mills"), 3)
    assert next(index.chunks(text=False)).text == ""


@on_any_index
def test_vectors_can_be_had_again(index: Index) -> None:
    """The vectors of chunks can be read back, so that equal texts are not paid for twice."""
    index.upload([A, B])
    if isinstance(index, AzureIndex):
        endpoint = index.documents.endpoint
        with closing(AzureGenerations("any", partial(open_azure, endpoint), define)) as alias:
            alias.reveal_vectors(index.documents.name)

    found = index.vectors([A.chunk.id, B.chunk.id, C.chunk.id])
    assert found.keys() == {A.chunk.id, B.chunk.id}
    assert A.vector is not None
    np.testing.assert_array_almost_equal(found[A.chunk.id], A.vector)
    assert found[A.chunk.id].dtype == np.float32
    assert index.vectors([]) == {}


@on_any_index
def test_a_root_gets_another_name(index: Index) -> None:
    """Its records, chunks and paid pages are all there under the new name, and only there."""
    docs = KnownRoot("handbook", "/docs", "0" * 16, ("1" * 16,), renamed_from="/docs")
    assert index.roots() == []
    index.save(RECORD).result()
    index.cache_page(CachedPage("9" * 40, "/docs", "tools/mill.pdf", "op"))
    if not (isinstance(index, CompositeIndex) and not isinstance(index, SqliteIndex)):
        index.upload([A, B])
    index.save_roots([docs])
    assert index.rename_root("/docs", "handbook")
    assert not index.rename_root("/docs", "handbook")

    assert index.roots() == [docs]
    assert [*index.records("/docs"), *index.chunks("/docs")] == []
    assert {r.source for r in index.records("handbook")} == {"tools/mill.pdf"}
    assert index.record("handbook", "tools/mill.pdf") == replace(RECORD, root="handbook")
    assert {(c.root, c.source) for c in index.chunks()} <= {("handbook", "tools/mill.pdf")}
    assert list(index.cached_page_sources()) == [("handbook", "tools/mill.pdf")]
    index.forget(replace(RECORD, root="handbook"))
    assert index.record("handbook", "tools/mill.pdf") is None


def test_chunks_of_a_store_that_cannot_rename_keep_the_root_by_its_path(tmp_path: Path) -> None:
    """I am told so before anything is changed."""
    chunks: ChunkStore = load_program("memory_chunks.py")["MemoryChunks"]()
    with closing(CompositeIndex(chunks, open_state(tmp_path, MODEL, DIMENSIONS))) as index:
        index.upload([A])
        index.save(RECORD).result()
        with pytest.raises(ConfigError, match=r"leave out the name, or .* --forget /docs"):
            index.rename_root("/docs", "handbook")
        assert index.record("/docs", "tools/mill.pdf") == RECORD


@on_any_index
def test_a_chunk_is_found_by_the_text_that_it_embeds(index: Index) -> None:
    """Whatever document it belongs to, and as long as it is there."""
    a, b = replace(A, text_hash="1" * 40), replace(B, text_hash="2" * 40)
    copy = replace(C, text_hash="1" * 40)
    assert index.ids_by_text(["1" * 40]) == {}
    index.upload([a, b, copy])

    assert index.ids_by_text([]) == index.ids_by_text(["3" * 40]) == {}
    vectors = index.vectors_by_text([A.chunk.id, B.chunk.id, "f" * 40])
    assert vectors.keys() == {"1" * 40, "2" * 40}
    np.testing.assert_array_almost_equal(vectors["2" * 40], index.vectors([B.chunk.id])[B.chunk.id])
    found = index.ids_by_text(["1" * 40, "2" * 40, "3" * 40])
    assert found["2" * 40] == B.chunk.id
    assert found["1" * 40] in (A.chunk.id, C.chunk.id)
    index.delete([A.chunk.id, B.chunk.id])
    assert index.ids_by_text(["1" * 40, "2" * 40]) == {"1" * 40: C.chunk.id}
    index.upload([replace(copy, text_hash="4" * 40, vector=None)])
    assert index.ids_by_text(["1" * 40, "4" * 40]) == {"4" * 40: C.chunk.id}


def test_many_copies_hide_no_other_text(service: AzureIndex) -> None:
    """A page of an answer that is full of copies is not taken for all there is."""
    copies = [
        replace(entry(f"{n:040x}", "one"), text_hash="a" * 40 if n % 600 else f"{n:040x}")
        for n in range(1200)
    ]
    service.upload(copies)
    wanted = ["a" * 40, f"{0:040x}", f"{600:040x}"]
    assert service.ids_by_text(wanted).keys() == set(wanted)


def test_there_is_room_and_it_is_told(index: Index) -> None:
    """The free space is known; the memory only where the service has a limit."""
    room = index.free_space()
    assert room.disk > 0
    assert 0 <= room.memory_used < room.memory


def test_it_is_known_how_long_others_have_been_quiet(index: Index, tmp_path: Path) -> None:
    """A check knows whether a run is at work, without disturbing it."""
    assert index.seconds_since_write() == math.inf
    other = reopen(index, tmp_path)
    other.hold()
    assert index.seconds_since_write() == 0
    assert other.seconds_since_write() == math.inf  # the one at work is itself
    other.close()
    assert index.seconds_since_write() > 0
    index.hold()  # nobody is in the way


def test_workers_see_whether_their_run_holds_the_index(index: Index, tmp_path: Path) -> None:
    """Of a service they do, by the name of who holds it; nobody else can write to a folder."""
    index.hold("tcp://scheduler:8786")
    other = reopen(index, tmp_path)
    held = isinstance(index, AzureIndex)
    assert bool(index.holder) == held
    assert bool(other.lease_stamp(index.holder)) == held
    if held:
        with pytest.raises(BusyError, match="workers of tcp://scheduler:8786 for "):
            other.hold()
    holder = index.holder
    other.join(holder)
    assert other.upload([A]) == []
    index.close()
    assert not other.lease_stamp(holder)
    if held:
        other_worker = reopen(index, tmp_path)
        with pytest.raises(BusyError, match="another run has taken over the index"):
            other_worker.join(holder)
    other.close()


def test_an_index_says_which_model_filled_it(index: Index, tmp_path: Path) -> None:
    """A rebuild with another model knows it, and so does a later process."""
    index.hold()
    index.close()
    other = reopen(index, tmp_path)
    assert other.vector_space() == (MODEL, DIMENSIONS)
    other.hold()  # as a rebuild does, which writes nothing to it
    assert other.vector_space() == (MODEL, DIMENSIONS)
    other.close()


def test_every_chunk_has_a_vector(index: Index) -> None:
    """A check that looks at all of them finds nothing wrong with those that were uploaded."""
    index.upload([A, B, C])
    assert list(index.flaws(DIMENSIONS, thorough=True)) == []


def reopen(index: Index, folder: Path) -> Index:
    """The index, as another process opens it."""
    if isinstance(index, AzureIndex):
        old = index.documents
        return AzureIndex(
            DocumentClient(old.endpoint, old.name, old.key, old.retry_policy, may_be_absent=False)
        )
    if not isinstance(index, SqliteIndex):
        assert isinstance(index, CompositeIndex)
        state = open_state(folder / "state", MODEL, DIMENSIONS, create=False)
        return CompositeIndex(index.store, state)
    return SqliteIndex(folder / "index", MODEL, DIMENSIONS, create=False)


def test_an_approximate_count_is_not_taken_for_an_empty_index(
    azure: Azure, service: AzureIndex
) -> None:
    """A service that counts twice as many as there are, or none, has one if a search finds it."""
    with closing(service):
        assert service.totals().chunks == 0
        service.upload([A, B, C])
        azure.search.count_error = 1
        assert {service.totals().chunks for _ in range(30)} == {1, 6}


def test_a_short_page_is_not_the_last_one(azure: Azure, service: AzureIndex) -> None:
    """A service that answers with half of what was asked for, and the way on, loses me nothing."""
    with closing(service):
        service.upload([A, B, C])
        azure.search.short_pages = 1
        listed = [chunk.id for chunk in service.chunks()]
        assert listed == [A.chunk.id, B.chunk.id, C.chunk.id]
        assert service.existing_ids(listed) == set(listed)

        azure.search.queries.clear()
        assert len(ids(service, "wood grain spindle", Mode.VECTOR, top=3)) == 3
        assert len(azure.search.queries) > 1
