"""Values as JSON that every reader accepts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any


def json_text(value: Any, *, indent: int | None = None, ascii_only: bool = True) -> str:
    """One JSON document; numbers that are not finite become null.

    Args:
        value: Mappings, sequences, texts, numbers, truth values and None.
        indent: Spaces a level, or None for a single line.
        ascii_only: Whether other characters are escaped.
    """
    return json.dumps(finite(value), indent=indent, ensure_ascii=ascii_only, allow_nan=False)


def finite(value: Any) -> Any:
    """The value with None in place of numbers that JSON does not know."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [finite(entry) for entry in value]
    return value
