"""ONNX Runtime, which runs the local models, kept from telling anybody.

It makes up an id for the machine, keeps it in the user's home and reports what it runs, beginning
with the import: that it must not is said before.
"""

from __future__ import annotations

import os
from typing import Any


def import_onnxruntime() -> Any:
    """The library. Raises ImportError if it is not installed."""
    os.putenv("ORT_DISABLE_TELEMETRY", "1")  # for native code alone, which reads it when loaded
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    return onnxruntime
