"""The example of docs/chat.md, run as it stands."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.conftest import ROOT, run_process
from tests.emulator.emulator import Azure
from tests.pipeline.test_runs_on_azure import write_first
from tests.runs import client, run


def test_the_chat_example_answers(azure: Azure, folder: Path, tmp_path: Path) -> None:
    """A copy of the example returns passages with citations, from the index that ingest filled."""
    write_first(folder)
    run(folder, client(azure))
    (code,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs/chat.md").read_text(), flags=re.DOTALL
    )
    (tmp_path / "chat.py").write_text(code)

    done = run_process(sys.executable, "chat.py", cwd=tmp_path, **azure.environment)

    assert done.returncode == 0, done.stderr
    citations = re.findall(r"^(\S+\.pdf)#page=(\d+) .+", done.stdout, re.MULTILINE)
    assert len(citations) == 3
    assert {name for name, _ in citations} <= {path.name for path in folder.glob("*.pdf")}
