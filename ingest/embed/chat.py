"""Questions about a picture, and their answers."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from ingest.runtime.prices import NO_CHAT, ChatTokens

PROBE_SIDE = 64  # pixels


class ContentRefusedError(Exception):
    """A content filter refuses the picture, or the answer."""


class RequestRefusedError(Exception):
    """The service refuses a picture, or fails on it, but answers others."""


@dataclass(frozen=True, slots=True)
class ChatQuestion:
    """A request: instructions, words, one picture, and the form of the answer."""

    instructions: str
    words: str
    picture: bytes
    media_type: str
    schema: Mapping[str, Any]
    tokens: int  # of all this, as the model bills them
    room: int  # tokens of the answer, at most


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """The text of an answer, and which model gave it."""

    text: str
    model: str  # "" if the service does not say
    is_cut_off: bool = False
    billed: ChatTokens = NO_CHAT


@cache
def probe_question() -> ChatQuestion:
    """Make a question that every model which sees pictures answers."""
    schema = {
        "type": "object",
        "properties": {"colour": {"type": "string"}},
        "required": ["colour"],
        "additionalProperties": False,
    }
    return ChatQuestion(
        'Answer with JSON: {"colour": "..."}',
        "Which colour has the square?",
        draw_probe(),
        "image/png",
        schema,
        tokens=700,
        room=500,
    )


def draw_probe() -> bytes:
    """Draw a red square on white, as PNG."""
    from PIL import Image  # not needed in a run without images

    image = Image.new("RGB", (PROBE_SIDE, PROBE_SIDE), "white")
    image.paste((200, 0, 0), (PROBE_SIDE // 4, PROBE_SIDE // 4, PROBE_SIDE // 2, PROBE_SIDE // 2))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
