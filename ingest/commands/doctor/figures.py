"""Check the chat model that describes figures, by one small picture, and the place for images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from ingest.commands.doctor.finding import DoctorContext, DoctorFinding, Verdict
from ingest.config.figures import describes_figures, figures_endpoint, open_figure_chat
from ingest.config.images import open_images
from ingest.config.location import Location
from ingest.embed.chat import ChatQuestion, ContentRefusedError, RequestRefusedError, draw_probe
from ingest.errors import ConfigError, IngestError
from ingest.extract.figures.describe import INSTRUCTIONS, SCHEMA, parse_description
from ingest.pipeline.images import name_image
from ingest.runtime.budget import Budget
from ingest.runtime.timing import Stopwatch

CHECK = "figures"
PROBE_TOKENS, PROBE_ROOM = 1000, 500


def check_figures(
    context: DoctorContext, unreachable: Mapping[str, str], identity_problem: str
) -> Iterator[DoctorFinding]:
    """Check that the deployment exists, sees a picture and answers in form."""
    if not describes_figures(context.settings):
        return
    try:
        url = figures_endpoint(context.settings).url
        unless = unreachable.get(url, "")
        if not unless and context.figures_need_token:
            unless = identity_problem
        text = "" if unless else probe_figures(context)
    except IngestError as error:
        yield DoctorFinding(CHECK, Verdict.WRONG, str(error))
    else:
        verdict = Verdict.UNKNOWN if unless else Verdict.RIGHT
        yield DoctorFinding(CHECK, verdict, unless or text)


def probe_figures(context: DoctorContext) -> str:
    """Have a small picture described. Raises ConfigError or ServiceError, as a run would."""
    times, budget = Stopwatch(), Budget()
    chat = open_figure_chat(context.settings, context.connections, times, budget)
    words = "The figure stands in a document."
    question = ChatQuestion(
        INSTRUCTIONS, words, draw_probe(), "image/png", SCHEMA, PROBE_TOKENS, PROBE_ROOM
    )
    try:
        answer = chat.ask(question)
        model = answer.model or chat.endpoint.model
        kind = "" if answer.is_cut_off else f" as {parse_description(answer.text, model).kind}"
    except (ContentRefusedError, RequestRefusedError, ValueError) as error:
        raise ConfigError(
            f"{chat.endpoint} does not describe pictures ({error}): set "
            "AZURE_OPENAI_FIGURES_DEPLOYMENT to a chat model that sees images"
        ) from error
    finally:
        chat.close()
    form = "by a schema" if chat.form.has_schema else "as plain JSON: it takes no schema"
    billed = f"{answer.billed.total:,} tokens billed"
    return f"{chat.endpoint.deployment}: {model} described a picture{kind}, {form}; {billed}"


def check_image_store(context: DoctorContext) -> str:
    """Name the place of images.

    Raises ConfigError if it cannot be read or written, or is another index's.
    """
    with open_images(context.settings, context.connections, write=False) as store:
        assert store
        if Location.parse(context.settings.figures_to).is_local:
            check_writable(Path(store.place))
        store.delete([name_image(b"")])  # of no image: needs the role to write, and deletes nothing
        return store.place


def check_writable(folder: Path) -> None:
    """Raise ConfigError if files cannot be made in a folder, or it cannot be made itself."""
    here = next(path for path in (folder, *folder.parents) if path.exists())
    if not (here.is_dir() and os.access(here, os.W_OK)):
        raise ConfigError(
            f"INGEST_FIGURES_TO: no file can be made in {here}: check its permissions, or name "
            "another folder"
        )
