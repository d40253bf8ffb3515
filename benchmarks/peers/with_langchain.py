"""A folder of PDFs into a search index with LangChain, as its documentation puts it together.

Tuned as its users can: AzureSearch is given the embeddings themselves, not their `embed_query` as
the documentation does, which would embed one chunk a request. All batch sizes are its defaults.
"""

from __future__ import annotations

import os
import sys

from azure.identity import DefaultAzureCredential, get_bearer_token_provider
from langchain_community.document_loaders import DirectoryLoader, PyPDFLoader
from langchain_community.vectorstores.azuresearch import AzureSearch
from langchain_openai import AzureOpenAIEmbeddings
from langchain_text_splitters import RecursiveCharacterTextSplitter


def main(folder: str) -> None:
    """Load, split, embed and upload."""
    credential = DefaultAzureCredential()
    dimensions = int(os.environ["AZURE_OPENAI_EMBEDDING_DIMENSIONS"])
    loader = DirectoryLoader(folder, glob="**/*.pdf", loader_cls=PyPDFLoader)
    splitter = RecursiveCharacterTextSplitter.from_tiktoken_encoder(
        encoding_name="cl100k_base", chunk_size=512, chunk_overlap=60
    )
    embeddings = AzureOpenAIEmbeddings(
        azure_endpoint=os.environ["AZURE_OPENAI_ENDPOINT"],
        azure_deployment=os.environ["AZURE_OPENAI_EMBEDDING_DEPLOYMENT"],
        azure_ad_token_provider=get_bearer_token_provider(
            credential, "https://cognitiveservices.azure.com/.default"
        ),
        model=os.environ["AZURE_OPENAI_EMBEDDING_MODEL"],
        dimensions=dimensions,
        api_version="2024-10-21",
    )
    store = AzureSearch(
        azure_search_endpoint=os.environ["AZURE_SEARCH_ENDPOINT"],
        azure_search_key=None,
        index_name=os.environ["AZURE_SEARCH_INDEX"],
        embedding_function=embeddings,
        vector_search_dimensions=dimensions,
        azure_credential=credential,
    )
    store.add_documents(splitter.split_documents(loader.load()))


if __name__ == "__main__":
    main(sys.argv[1])
