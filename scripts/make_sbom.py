"""Print the software bill of materials of lock files: CycloneDX 1.6, JSON.

    scripts/make_sbom.py core telemetry

Uses only the standard library, as it runs where images are built.
"""

import json
import re
import sys
from pathlib import Path

# In the current folder: that of the project, or of a build.
LOCKS = Path("requirements")
MODELS = Path("ingest/models/__init__.py")
# A package, its version, and for which platforms; then the hashes of its files.
PACKAGE = re.compile(
    r"^([\w.-]+)==([^ \\\n]+)([^\\\n]*)\\?\n((?: +--hash=\S+.*\n?)+)", re.MULTILINE
)


def components(names: list[str]) -> list[dict[str, object]]:
    """The packages of lock files, each once, in the order of their names."""
    found = {}
    for name in names:
        for package, version, marker, hashes in PACKAGE.findall(
            (LOCKS / f"{name}.txt").read_text()
        ):
            reference = f"pkg:pypi/{package}@{version}"
            found[reference] = {
                "type": "library",
                "bom-ref": reference,
                "name": package,
                "version": version,
                "purl": reference,
                "scope": "optional" if marker.strip() else "required",
                "hashes": [
                    {"alg": "SHA-256", "content": digest}
                    for digest in re.findall(r"--hash=sha256:(\w+)", hashes)
                ],
            }
    return [found[reference] for reference in sorted(found)]


def bill(names: list[str]) -> dict[str, object]:
    """The bill of materials."""
    (version,) = re.findall(
        r'^__version__ = "(.+)"', MODELS.read_text(encoding="utf-8"), re.MULTILINE
    )
    about = {"type": "application", "bom-ref": "ingest", "name": "ingest", "version": version}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": about},
        "components": components(names),
    }


if __name__ == "__main__":
    print(json.dumps(bill(sys.argv[1:] or ["core"]), indent=1))
