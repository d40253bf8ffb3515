"""A folder of PDFs into a search index with LlamaIndex, as its documentation puts it together.

Tuned as its users can: files are read in as many processes as there are cores, and the cache, which
would keep every vector once more, is off. How many chunks go into an embedding request is for the
caller to say, 10 if it does not: 500 of 512 tokens always stay below the service's 300,000.
"""

from __future__ import annotations

import os
import sys

from azure.identity import DefaultAzureCredential, get_bearer_token_provider
from azure.search.documents.indexes import SearchIndexClient
from llama_index.core import SimpleDirectoryReader
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.embeddings.azure_openai import AzureOpenAIEmbedding
from llama_index.vector_stores.azureaisearch import AzureAISearchVectorStore, IndexManagement
from openai.lib.azure import API_KEY_SENTINEL


def main(batch: int, folder: str) -> None:
    """Load, split, embed and upload."""
    credential = DefaultAzureCredential()
    dimensions = int(os.environ["AZURE_OPENAI_EMBEDDING_DIMENSIONS"])
    embedding = AzureOpenAIEmbedding(
        azure_endpoint=os.environ["AZURE_OPENAI_ENDPOINT"],
        azure_deployment=os.environ["AZURE_OPENAI_EMBEDDING_DEPLOYMENT"],
        azure_ad_token_provider=get_bearer_token_provider(
            credential, "https://cognitiveservices.azure.com/.default"
        ),
        api_key=API_KEY_SENTINEL,  # none; `use_azure_ad` would send the token as a key as well
        model=os.environ["AZURE_OPENAI_EMBEDDING_MODEL"],
        dimensions=dimensions,
        embed_batch_size=batch,
        api_version="2024-10-21",
    )
    store = AzureAISearchVectorStore(
        search_or_index_client=SearchIndexClient(
            os.environ["AZURE_SEARCH_ENDPOINT"], credential, api_version="2026-04-01"
        ),
        index_name=os.environ["AZURE_SEARCH_INDEX"],
        index_management=IndexManagement.CREATE_IF_NOT_EXISTS,
        id_field_key="id",
        chunk_field_key="chunk",
        embedding_field_key="embedding",
        embedding_dimensionality=dimensions,
        metadata_string_field_key="metadata",
        doc_id_field_key="doc_id",
        vector_algorithm_type="hnsw",
    )
    reader = SimpleDirectoryReader(folder, recursive=True, required_exts=[".pdf"])
    splitter = SentenceSplitter(chunk_size=512, chunk_overlap=60)
    pipeline = IngestionPipeline(
        transformations=[splitter, embedding], vector_store=store, disable_cache=True
    )
    pipeline.run(documents=reader.load_data(num_workers=os.cpu_count()))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
