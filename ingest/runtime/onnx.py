"""Import of ONNX Runtime with telemetry disabled.

ONNX Runtime creates a machine id, stores it in the user's home and reports the models that it runs,
starting with the import. So telemetry is disabled before it is imported.
"""

from __future__ import annotations

import os
from typing import Any


def import_onnxruntime() -> Any:
    """Import ONNX Runtime. Raises ImportError if it is not installed."""
    os.putenv("ORT_DISABLE_TELEMETRY", "1")  # native code reads it when the library is loaded
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    return onnxruntime
