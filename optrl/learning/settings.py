"""Settings of learners from texts and from JSON, checked against their annotations."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from optrl.learning.base import LearnerSettings, TrainingError

S = TypeVar("S", bound=LearnerSettings)


def settings_from(kind: type[S], given: Mapping[str, Any]) -> S:
    """Settings of a class with some fields given, the others at their defaults.

    Args:
        kind: The class.
        given: Values by name; JSON values, or texts such as ``"1e-3"``, ``"64,64"`` or ``"none"``.

    Raises:
        TrainingError: If a name is unknown, a value is not of the kind its field takes, or the
            class refuses it.
    """
    defaults = {field.name: field.default for field in fields(kind)}
    for name in given:
        if name not in defaults:
            near = difflib.get_close_matches(name, defaults, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise TrainingError(
                f"setting {name!r} is unknown: {hint}there is {', '.join(defaults)}"
            )
    values = {
        name: _parsed(value, isinstance(defaults[name], tuple)) if isinstance(value, str) else value
        for name, value in given.items()
    }
    try:
        settings = TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise TrainingError(f"setting {name} is {given.get(name)!r}: {first['msg']}") from error
    for name in defaults:
        value = getattr(settings, name)
        if isinstance(value, float) and not math.isfinite(value):
            raise TrainingError(f"setting {name} is {value}; it must be a finite number")
    return settings


def settings_from_texts(kind: type[S], given: list[str]) -> S:
    """Settings of ``name=value`` texts, as a command line gives them.

    Raises:
        TrainingError: If one has no ``=``, is given twice, or does not fit.
    """
    values: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise TrainingError(f"{text!r}: settings are given as name=value")
        if name.strip() in values:
            raise TrainingError(f"setting {name.strip()!r} is given twice")
        values[name.strip()] = value.strip()
    return settings_from(kind, values)


def settings_as_json(settings: LearnerSettings) -> dict[str, Any]:
    """Settings as JSON holds them, so that what was read compares equal to what was written."""
    result: dict[str, Any] = json.loads(json.dumps(asdict(settings), allow_nan=False))
    return result


def _parsed(text: str, several: bool) -> str | list[str] | None:
    """A text as what is validated: none, a list where there are several values, or itself."""
    if text.lower() == "none":
        return None
    if several:
        return [part.strip() for part in text.strip("()[]").split(",") if part.strip()]
    return text
