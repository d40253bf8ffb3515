"""Locked documents, and what opens them."""

from __future__ import annotations

import io
from pathlib import Path

import pypdf
import pytest
from pypdf.constants import UserAccessPermissions

from ingest.errors import ConfigError, DocumentError
from ingest.extract.document import ExtractOptions, extract
from ingest.extract.passwords import read_passwords
from ingest.models import Code
from ingest.pipeline.reader.prepare import Task
from tests.pdfs import pdf, to_bytes

EXTRACTORS = ["auto", "pdfium", "pypdf"]
METHODS = ["RC4-40", "RC4-128", "AES-128", "AES-256-R5", "AES-256"]
EVERYTHING = UserAccessPermissions.all()


def lock_pdf(
    user: str = "secret",
    owner: str = "owner",
    method: str = "AES-256",
    allowed: UserAccessPermissions = EVERYTHING,
) -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("a secret text", title="Secrets")))
    writer.encrypt(user, owner, algorithm=method, permissions_flag=allowed)
    return to_bytes(writer)


@pytest.mark.parametrize("extractor", EXTRACTORS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("password", ["secret", "pässwörd", "5€ пароль"])
def test_every_way_to_lock_is_opened(extractor: str, method: str, password: str) -> None:
    """Whatever program locked it, its password opens it; that of its owner does too."""
    for key in (password, "owner"):
        options = ExtractOptions(extractor, ("wrong", key))
        document = extract(lock_pdf(password, method=method), options)

        assert document.pages == ("a secret text",)
        assert document.title == "Secrets"


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_equal_passwords_are_equal(extractor: str) -> None:
    """A password of special characters opens it, however they were typed."""
    data = lock_pdf("fine IV")  # in the form that AES-256 asks for

    assert extract(data, ExtractOptions(extractor, ("\ufb01ne\u00a0\u2163\u00ad",))).pages


@pytest.mark.parametrize("extractor", EXTRACTORS)
@pytest.mark.parametrize(
    ("tried", "reason"),
    [
        ((), "needs a password; --passwords names a file of them"),
        (("x",), "needs a password; the configured one does not open it"),
        (("x", "y\0z", "ß"), "needs a password; none of the 3 passwords opens it"),
    ],
)
def test_what_no_password_opens_is_skipped(
    extractor: str, tried: tuple[str, ...], reason: str
) -> None:
    """The reason says whether there was no password or no right one, and shows none."""
    with pytest.raises(DocumentError) as caught:
        extract(lock_pdf(), ExtractOptions(extractor, tried))

    assert str(caught.value) == reason
    assert caught.value.code is Code.ENCRYPTED


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_what_is_locked_by_other_means_says_so(extractor: str) -> None:
    """A document for the holders of certificates is no damaged one."""
    data = lock_pdf().replace(b"/Standard", b"/Adobe.PS")

    with pytest.raises(DocumentError, match="not with a password") as caught:
        extract(data, ExtractOptions(extractor, ("secret",)))
    assert caught.value.code is Code.ENCRYPTED


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_what_is_forbidden_is_noted(extractor: str) -> None:
    """The index notes that copying or printing is forbidden, and has the text all the same."""
    asked = EVERYTHING & ~(UserAccessPermissions.EXTRACT | UserAccessPermissions.PRINT)
    document = extract(lock_pdf("", allowed=asked), ExtractOptions(extractor))

    assert document.pages == ("a secret text",)
    assert document.details.forbids == ("print", "copy")
    assert extract(pdf("an open one"), ExtractOptions(extractor)).details.forbids == ()


def test_passwords_come_from_a_file(tmp_path: Path) -> None:
    """One a line, as any editor saves them; blanks at an end may belong to one."""
    file = tmp_path / "keys"
    file.write_bytes("\ufeffone\r\n\r\n  two \r\nthré\n\none\n".encode())

    assert read_passwords(str(file)) == ("one", "  two ", "thré")
    assert read_passwords("") == ()


def test_a_file_that_is_no_list_of_passwords_is_refused(tmp_path: Path) -> None:
    """A run does not go on without the passwords it was given, and shows none of them."""
    file = tmp_path / "keys"
    with pytest.raises(ConfigError, match=f"{file} cannot be read \\(No such file"):
        read_passwords(str(file))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_passwords(str(tmp_path))
    file.write_text("\n \n")
    with pytest.raises(ConfigError, match="has no passwords: write them there, one per line"):
        read_passwords(str(file))
    file.write_bytes(b"geheim\xe4\n")
    with pytest.raises(ConfigError, match="not UTF-8") as caught:
        read_passwords(str(file))
    assert "geheim" not in repr(caught.value)
    assert caught.value.__cause__ is None


def test_passwords_do_not_show(tmp_path: Path) -> None:
    """The log of a task shows no password."""
    assert "secret" not in repr(ExtractOptions("auto", ("secret",)))
    assert Task.__dataclass_fields__["passwords"].repr is False
