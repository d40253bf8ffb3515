"""Read a folder of PDFs, split it and rank it by words as LangChain's and LlamaIndex's users do.

Runs in the benchmark's own environment, without `ingest`. Reads {"folder", "questions"} as JSON
from standard input and prints, by splitter, the chunks (source, page, text) and for each question
the numbers of the best DEPTH of them by BM25. Both read page by page with pypdf, so a chunk is
never longer than a page.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import bm25s
from langchain_text_splitters import RecursiveCharacterTextSplitter
from llama_index.core.node_parser import SentenceSplitter
from pypdf import PdfReader

DEPTH = 50
SPLITTERS = {
    "LangChain 1,000 characters": RecursiveCharacterTextSplitter(
        chunk_size=1000, chunk_overlap=200
    ),
    "LangChain 512 tokens": RecursiveCharacterTextSplitter.from_tiktoken_encoder(
        encoding_name="cl100k_base", chunk_size=512, chunk_overlap=60
    ),
    "LlamaIndex": SentenceSplitter(),  # 1,024 tokens
}


def main() -> None:
    """Split and rank."""
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it warns of every odd font
    asked = json.load(sys.stdin)
    folder = Path(asked["folder"])
    pages = [
        (str(file.relative_to(folder)), number, page.extract_text())
        for file in sorted(folder.rglob("*.pdf"))
        for number, page in enumerate(PdfReader(file).pages, 1)
    ]
    answer = {}
    for name, splitter in SPLITTERS.items():
        chunks = [
            (source, number, text)
            for source, number, page in pages
            for text in splitter.split_text(page)
            if text.strip()
        ]
        ranker = bm25s.BM25()
        ranker.index(tokenize([text for _, _, text in chunks]), show_progress=False)
        depth = min(DEPTH, len(chunks))
        best, _ = ranker.retrieve(tokenize(asked["questions"]), k=depth, show_progress=False)
        answer[name] = {"chunks": chunks, "best": best.tolist()}
    json.dump(answer, sys.stdout)


def tokenize(texts: list[str]) -> bm25s.tokenization.Tokenized:
    """Split texts into words as bm25s does by default."""
    return bm25s.tokenize(texts, stopwords=None, show_progress=False)


if __name__ == "__main__":
    main()
