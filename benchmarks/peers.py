"""`ingest run` beside what people use instead: LangChain and LlamaIndex, on the same work.

About 2,000 pages, copies of the samples, go into an empty index of the emulator: 60 ms latency, no
quota, vectors of 1,536 dimensions, chunks of up to 512 tokens. The copies are the same, which only
`ingest` gains by: it embeds equal texts once, as the tokens billed show. Each run is a command of
its own with an emulator of its own, and what it imports is compiled before, by a run over one small
document; starting, importing and signing in are measured. `ingest` runs before and after each of
the others, so that a slow spell of the machine meets all; its figures are medians.

The others are in `peers/`, each in an environment of its own in `.peers/`, made on first use, since
they ask for different versions of the same SDKs. Memory is that of all processes of a command at
one moment, ten times a second; what processes share counts for each, which is against `ingest`,
that has the most of them.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path

from azure.identity import DefaultAzureCredential
from azure.search.documents import SearchClient
from azure_run import COPIED, PAGES_COPIED, copies, serving
from measure import INGEST, MEGABYTE, ROOT, Spent, T, spent, tell, typical

HERE = Path(__file__).parent / "peers"
DIMENSIONS = 1536
INTERVAL = 0.1  # seconds between looks at the memory
PAGE = os.sysconf("SC_PAGE_SIZE")  # bytes
PAGES = 2_000
COLUMNS = {  # what is printed of a Cost, and with how many decimals
    "wall s": 1,
    "CPU s": 1,
    "peak MB": 0,
    "largest MB": 0,
    "requests": 0,
    "tokens": 0,
    "chunks": 0,
    "emulator s": 1,
}

# Where tiktoken looks for the vocabulary of cl100k_base before it would download it.
VOCABULARY = ROOT / "tests" / "chunk" / "cl100k_base.tiktoken.gz"
CACHED_AS = "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of a run, and the size of its index."""

    wall: float  # seconds
    cpu: float  # seconds, of all its processes
    peak: float  # MB, of all its processes at one moment
    largest: float  # MB, the peak of the largest process
    requests: float  # for embeddings
    tokens: float  # billed for them
    chunks: float  # in the index
    served: float  # CPU seconds of the emulator, which shares the cores


def main() -> None:
    """Measure and print."""
    theirs = {name: command() for name, command in PEERS.items()}
    with tempfile.TemporaryDirectory() as folder:
        workplace = prepared(Path(folder))
        own = [cost([INGEST, "run"], workplace, "kind eq 'chunk'")]
        others = {}
        for name, command in theirs.items():
            others[name] = cost(command, workplace)
            own.append(cost([INGEST, "run"], workplace, "kind eq 'chunk'"))
    ours = medians(own)
    print(f"{'':<22}" + "".join(f"{title:>12}" for title in COLUMNS))
    for name, each in {"ingest": ours, **others}.items():
        figures = zip(astuple(each), COLUMNS.values(), strict=True)
        print(f"{name:<22}" + "".join(f"{value:>12,.{decimals}f}" for value, decimals in figures))
    for name, each in others.items():
        print()
        tell(f"{name} / ingest, wall", f"{each.wall / ours.wall:.1f}", "target >= 5")
        tell(f"{name} / ingest, CPU", f"{each.cpu / ours.cpu:.1f}", "target >= 4")
        tell(f"{name} / ingest, peak", f"{each.peak / ours.peak:.1f}", "target > 1")


def python(peer: str) -> str:
    """The interpreter of a peer's environment, made anew if its packages are to be others."""
    home, wanted = ROOT / ".peers" / peer, HERE / f"{peer}.txt"
    stamp, interpreter = home / wanted.name, home / "bin" / "python"
    made = interpreter.exists() and stamp.exists()
    if not made or stamp.read_bytes() != wanted.read_bytes():
        print(f"Setting up {home} (once; a minute or so) ...", flush=True)
        venv.create(home, clear=True, symlinks=True, with_pip=True)
        pip = [str(interpreter), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, "--only-binary", ":all:", "--requirement", str(wanted)], check=True)
        shutil.copy(wanted, stamp)
    return str(interpreter)


def langchain() -> list[str]:
    """The command of LangChain, but for the folder."""
    return [python("langchain"), str(HERE / "with_langchain.py")]


def llamaindex(batch: int) -> list[str]:
    """The command of LlamaIndex with so many chunks in an embedding request."""
    return [python("llamaindex"), str(HERE / "with_llamaindex.py"), str(batch)]


# 500 chunks of 512 tokens always fit into a request, 600 do not; 10 is what it does if not told.
PEERS: dict[str, Callable[[], list[str]]] = {
    "LangChain": langchain,
    "LlamaIndex": partial(llamaindex, 500),
    "LlamaIndex by default": partial(llamaindex, 10),
}


def prepared(workplace: Path) -> Path:
    """A folder with what all runs need: documents, a small one to begin with, the vocabulary."""
    (workplace / "documents").mkdir()
    count = copies(workplace / "documents", PAGES)
    tell("documents, pages", f"{count:,}, {count // len(COPIED) * PAGES_COPIED:,}")
    shutil.copytree(ROOT / "data" / "products", workplace / "small")
    (workplace / "vocabulary").mkdir()
    (workplace / "vocabulary" / CACHED_AS).write_bytes(gzip.decompress(VOCABULARY.read_bytes()))
    return workplace


def cost(command: Sequence[str], workplace: Path, chunks: str | None = None) -> Cost:
    """Run a command over all documents; `chunks` is the filter that finds those in the index."""
    with serving() as (environment, counts):
        environment |= {
            "AZURE_OPENAI_EMBEDDING_DIMENSIONS": str(DIMENSIONS),
            "AZURE_OPENAI_EMBEDDING_MODEL": "text-embedding-3-small",
            "TIKTOKEN_CACHE_DIR": str(workplace / "vocabulary"),
        }
        run(command, "small", workplace, {**environment, "AZURE_SEARCH_INDEX": "small"})
        before = counts()
        took, peak = watched(partial(run, command, "documents", workplace, environment))
        after = counts()
        embedded = after.embedded[len(before.embedded) :]
        return Cost(
            wall=took.wall,
            cpu=took.cpu,
            peak=max(peak, took.peak),
            largest=took.peak,
            requests=len(embedded),
            tokens=sum(tokens for _, tokens in embedded),
            chunks=held(environment, chunks),
            served=after.cpu - before.cpu,
        )


def run(
    command: Sequence[str], folder: str, workplace: Path, environment: Mapping[str, str]
) -> Spent:
    """Run a command over a folder of the workplace. Ends the benchmark if it fails."""
    settings = (f"{name}={value}" for name, value in environment.items())
    took = spent(["env", *settings, *command, str(workplace / folder)], workplace)
    if took.code:
        sys.exit(f"{' '.join(command)} failed, exit {took.code}:\n{took.output}")
    return took


def held(environment: Mapping[str, str], only: str | None) -> int:
    """Number of documents of an index that pass a filter."""
    os.environ |= environment
    endpoint, index = environment["AZURE_SEARCH_ENDPOINT"], environment["AZURE_SEARCH_INDEX"]
    with DefaultAzureCredential() as credential, SearchClient(endpoint, index, credential) as asked:
        found = asked.search("*", filter=only, include_total_count=True, top=0)
        return found.get_count()


def watched(call: Callable[[], T]) -> tuple[T, float]:
    """Result of a call, and the peak memory in MB of the commands that it ran."""
    most = 0.0
    with ThreadPoolExecutor(1) as thread:
        result = thread.submit(call)
        while not wait([result], INTERVAL).done:
            most = max(most, resident() / MEGABYTE)
    return result.result(), most


def resident() -> int:
    """Bytes in memory of what our children started: a command runs below the one that times it."""
    parents, sizes = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            fields = path.read_text().rpartition(")")[2].split()
            process = int(path.parent.name)
            parents[process], sizes[process] = int(fields[1]), int(fields[21]) * PAGE
    ours = os.getpid()
    found = {process for process, parent in parents.items() if parents.get(parent) == ours}
    while more := {p for p, parent in parents.items() if parent in found} - found:
        found |= more
    return sum(sizes[process] for process in found)


def medians(costs: Sequence[Cost]) -> Cost:
    """The medians."""
    return Cost(*map(typical, zip(*map(astuple, costs), strict=True)))


if __name__ == "__main__":
    main()
