"""Chat completions with a picture: the description is made from the picture that was sent.

So a test sees which picture arrived: its size, its mean colour, and the text that `tests.scans`
draws into test figures as squares.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import math
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import toktok
from PIL import Image, ImageStat

from tests import scans
from tests.emulator.clock import Clock
from tests.emulator.quotas import Quotas, Refused, invalid
from tests.emulator.server import Json, Request, Response, answer, failure

PARAMETERS = {
    "model", "messages", "response_format", "max_tokens", "max_completion_tokens", "temperature",
    "top_p", "n", "seed", "user", "stop", "stream", "reasoning_effort",
}  # fmt: skip
MOST_BYTES = 20_000_000  # of a picture
MOST_MARGIN = 24  # pixels around the squares of a test figure
ANSWER_TOKENS = 120  # of a description


@dataclass(frozen=True)
class Asked:
    """A picture that was described, and so would be billed."""

    code: str  # decoded from its squares; "" for any other picture
    size: tuple[int, int]
    colour: str  # mean, as in "#ff0000"
    words: str  # of the user
    has_schema: bool
    room: int  # tokens of the answer, at most
    sent: int  # tokens billed for the request
    deployment: str


class Chat(Quotas):
    """The chat models of a resource. Its attributes may be set at any time."""

    operation = "ChatCompletions_Create"

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.unsupported: set[str] = set()  # parameters, or json_schema, of older servers
        self.sees = True  # whether the models take pictures
        # By the code of a picture: "finish", "400" or "refusal", by the content filter or the
        # model; "invalid" or "broken", where a picture cannot be processed.
        self.refusing: dict[str, str] = {}
        self.needed: Counter[str] = Counter()  # tokens of an answer, by code
        self.kinds: dict[str, str] = {}  # by code; otherwise a chart
        # What the answer has besides or instead of that, by code: fields, or a text of its own.
        self.answers: dict[str, Json | str] = {}
        self.latency = 0.0  # seconds
        self.on_ask: Callable[[Asked], object] = lambda _: None  # before it is answered
        self.asked: list[Asked] = []
        self.refused = 0  # requests refused for their content
        self.lock = threading.Lock()

    @property
    def codes(self) -> Counter[str]:
        """Number of descriptions of each picture."""
        return Counter(one.code for one in self.asked)

    def complete(self, body: Json, model: str, request: Request) -> Response:
        """Check a request, and describe its picture. Raises Refused."""
        for name in body:
            if name not in PARAMETERS or name in self.unsupported:
                raise Refused(invalid(f"Unrecognized request argument supplied: {name}"))
        room = body.get("max_completion_tokens", body.get("max_tokens"))
        if "max_completion_tokens" in body and "max_tokens" in body:
            raise Refused(invalid("Setting both 'max_tokens' and 'max_completion_tokens'."))
        if room is not None and (type(room) is not int or room < 1):
            raise Refused(invalid("Invalid value for 'max_completion_tokens'."))
        words, picture = self.read_messages(body.get("messages"))
        has_schema = self.check_format(body.get("response_format"))
        text = json.dumps(body["response_format"]) if has_schema else ""
        tokens = image_tokens(model, picture.size) + sum(
            toktok.batch_count([*words, text], "cl100k_base", threads=1)
        )
        headers = self.admit(tokens + (room or 0), request)
        colour = "#" + "".join(f"{round(n):02x}" for n in ImageStat.Stat(picture).mean)
        code = decode(picture)
        asked = Asked(
            code, picture.size, colour, words[-1], has_schema, room or 0, tokens, str(body["model"])
        )
        refusal = self.refusing.get(code, "")
        if refusal == "400":
            with self.lock:
                self.refused += 1
            raise Refused(answer(400, {"error": FILTERED}))
        if refusal in UNPROCESSED:
            with self.lock:
                self.refused += 1
            raise Refused(UNPROCESSED[refusal])
        self.on_ask(asked)
        with self.lock:
            self.asked.append(asked)
        request.pause(self.latency)
        return self.result(asked, model, refusal, headers)

    def read_messages(self, messages: object) -> tuple[list[str], Image.Image]:
        """The texts and the one picture of a request. Raises Refused."""
        if not isinstance(messages, list) or not messages:
            raise Refused(invalid("Invalid 'messages': empty array."))
        texts: list[str] = []
        pictures: list[Image.Image] = []
        for message in messages:
            content = message.get("content")
            parts: list[Json] = (
                [{"type": "text", "text": content}] if isinstance(content, str) else content
            )
            for part in parts:
                if part.get("type") == "text":
                    texts.append(part["text"])
                elif part.get("type") == "image_url" and message.get("role") == "user":
                    pictures.append(self.read_picture(part["image_url"]))
                else:
                    raise Refused(invalid(f"Invalid value: '{part.get('type')}'."))
        if len(pictures) != 1:
            raise Refused(invalid("Only requests with one picture are emulated."))
        return texts, pictures[0]

    def read_picture(self, given: Json) -> Image.Image:
        """A picture in a data URL. Raises Refused."""
        if not self.sees:
            message = "Invalid content type. image_url is only supported by certain models."
            raise Refused(invalid(message))
        if given.get("detail", "auto") not in {"auto", "low", "high"}:
            raise Refused(invalid("Invalid value for 'detail'."))
        head, _, data = given["url"].partition(";base64,")
        kind = head.removeprefix("data:image/")
        try:
            raw = base64.b64decode(data, validate=True)
            picture = Image.open(io.BytesIO(raw))
            picture.load()
        except (binascii.Error, OSError, SyntaxError, ValueError):
            raise Refused(invalid("Invalid image data.")) from None
        if kind not in {"png", "jpeg", "gif", "webp"} or kind != (picture.format or "").lower():
            raise Refused(invalid("You uploaded an unsupported image."))
        if len(raw) > MOST_BYTES:
            raise Refused(invalid("The image is too large."))
        return picture.convert("RGB")

    def check_format(self, given: object) -> bool:
        """Return whether the answer must follow a schema. Raises Refused if that is invalid."""
        if given is None:
            return False
        if not isinstance(given, dict) or given.get("type") != "json_schema":
            raise Refused(invalid("Only the response_format json_schema is emulated."))
        if "json_schema" in self.unsupported:
            message = "Invalid parameter: 'response_format' of type 'json_schema' is not supported"
            raise Refused(invalid(f"{message} with this model."))
        wanted = given.get("json_schema", {})
        if not wanted.get("name") or not wanted.get("strict"):
            raise Refused(invalid("Missing required parameter: 'response_format.json_schema'."))
        if not is_strict(wanted.get("schema")):
            raise Refused(invalid("Invalid schema for response_format."))
        return True

    def result(
        self, asked: Asked, model: str, refusal: str, headers: Mapping[str, str]
    ) -> Response:
        """The answer as the SDK expects it."""
        text, reason, refused = self.describe(asked), "stop", None
        needed = self.needed[asked.code] or ANSWER_TOKENS
        answered = needed
        if refusal == "finish":
            text, reason = "", "content_filter"
        elif refusal == "refusal":
            text, refused = "", "I'm sorry, I can't help with that."
        elif asked.room and needed > asked.room:
            text, reason, answered = text[: len(text) // 2], "length", asked.room
        with self.lock:
            self.refused += refusal != ""
        message = {"role": "assistant", "content": text or None, "refusal": refused}
        usage = {
            "prompt_tokens": asked.sent,
            "completion_tokens": answered,
            "total_tokens": asked.sent + answered,
        }
        choice = {"index": 0, "message": message, "finish_reason": reason}
        made = {"id": "chatcmpl-1", "object": "chat.completion", "model": f"{model}-2025-04-14"}
        return answer(200, {**made, "choices": [choice], "usage": usage}, headers)

    def describe(self, asked: Asked) -> str:
        """Description of a picture by the model."""
        more = self.answers.get(asked.code, {})
        if isinstance(more, str):
            return more
        described = {
            "kind": self.kinds.get(asked.code, "chart"),
            "title": f"Picture of {asked.code or 'no code'}",
            "summary": f"It has {asked.size[0]} x {asked.size[1]} pixels in {asked.colour}.",
            "words": asked.code,
            "axes": [],
            "rows": [],
        }
        text = json.dumps({**described, **more}, ensure_ascii=False)
        return text if asked.has_schema else f"Here it is:\n```json\n{text}\n```"


def decode(picture: Image.Image) -> str:
    """The text in the squares of a test figure, with a margin of any width; "" for others."""
    for margin in range(min(MOST_MARGIN, *(side // 3 for side in picture.size))):
        inside = (margin, margin, picture.width - margin, picture.height - margin)
        if text := scans.read(picture.crop(inside)):
            return text
    return ""


def image_tokens(model: str, size: tuple[int, int]) -> int:
    """The tokens of a picture: in patches for the small models, else in tiles."""
    width, height = size
    if model.startswith(("gpt-4.1-mini", "gpt-4.1-nano", "o4-mini")):
        patches = min(1536, math.ceil(width / 32) * math.ceil(height / 32))
        return math.ceil(patches * {"mini": 1.62, "nano": 2.46}.get(model[8:12], 1.72))
    scale = min(1.0, 2048 / max(size), 768 / min(size))
    tiles = math.ceil(width * scale / 512) * math.ceil(height * scale / 512)
    return 85 + 170 * tiles


def is_strict(schema: object) -> bool:
    """Return whether each object of a schema requires all of its fields, and allows no others."""
    if not isinstance(schema, dict):
        return False
    if schema.get("type") == "object":
        fields = schema.get("properties", {})
        closed = schema.get("additionalProperties") is False
        complete = sorted(schema.get("required", [])) == sorted(fields)
        return closed and complete and all(map(is_strict, fields.values()))
    return schema.get("type") != "array" or is_strict(schema.get("items"))


UNPROCESSED = {
    "invalid": invalid("The image data you provided does not represent a valid image."),
    "broken": failure(500, "server_error", "The server had an error processing your request."),
}
FILTERED: Json = {
    "message": "The response was filtered due to the prompt triggering Azure OpenAI's content "
    "management policy. Please modify your prompt and retry.",
    "type": None,
    "param": "prompt",
    "code": "content_filter",
    "status": 400,
    "innererror": {
        "code": "ResponsibleAIPolicyViolation",
        "content_filter_result": {"violence": {"filtered": True, "severity": "high"}},
    },
}
