"""The emulator's chat models are as strict as the service, and describe what they were sent."""

from __future__ import annotations

import base64
import io
import json
import ssl
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from PIL import Image

from ingest.extract.figures.describe import SCHEMA
from tests.emulator.emulator import FIGURES, Azure
from tests.scans import squares


@pytest.fixture
def client(azure: Azure) -> Iterator[openai.OpenAI]:
    azure.openai.local_auth = True
    with openai.OpenAI(
        base_url=f"{azure.openai_endpoint}/openai/v1",
        api_key=azure.openai.key,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(
            verify=ssl.create_default_context(cafile=str(azure.ca))
        ),
    ) as made:
        yield made


def ask(client: openai.OpenAI, image: Image.Image, **more: Any) -> Any:
    """Ask for the description of a picture."""
    file = io.BytesIO()
    image.save(file, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    content = [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": url}}]
    messages: Any = [{"role": "user", "content": content}]
    return client.chat.completions.create(
        model=more.pop("model", FIGURES), messages=messages, **more
    )


def test_a_description_is_made_from_the_picture(azure: Azure, client: openai.OpenAI) -> None:
    """Its size, its mean colour, and the code that is drawn into it, within a margin."""
    red = json.loads(
        ask(client, Image.new("RGB", (64, 32), "red")).choices[0].message.content[19:-4]
    )
    assert red["summary"] == "It has 64 x 32 pixels in #ff0000."
    coded = Image.new("RGB", (280, 280), "white")
    coded.paste(squares("a code"), (12, 12))
    asked = ask(client, coded)
    assert azure.openai.chat.asked[-1].code == "a code"
    assert asked.usage.prompt_tokens == azure.openai.chat.asked[-1].sent


def test_a_chat_model_is_as_strict_as_the_service(azure: Azure, client: openai.OpenAI) -> None:
    """What it does not know, what is no strict schema, and another kind of model: 400."""
    image = Image.new("RGB", (64, 64))
    loose = {"type": "json_schema", "json_schema": {"name": "f", "strict": True, "schema": {
        **SCHEMA, "required": ["kind"]}}}  # fmt: skip
    wrong: list[dict[str, Any]] = [
        {"extra_body": {"detail": "high"}},
        {"response_format": loose},
        {"max_tokens": 5, "max_completion_tokens": 5},
        {"model": "embeddings"},
    ]
    for more in wrong:
        with pytest.raises(openai.BadRequestError):
            ask(client, image, **more)
    azure.openai.chat.refusing = {"": "400"}
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, image)
    assert caught.value.code == "content_filter"
    assert azure.openai.chat.asked == []
