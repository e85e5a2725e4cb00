"""Settings of learners from texts and from JSON, checked against their annotations."""

from __future__ import annotations

import difflib
import inspect
import json
import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, fields, is_dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from optrl.learning.base import LearnerSettings, TrainingError

S = TypeVar("S", bound=LearnerSettings)


def settings_from(kind: type[S], given: Mapping[str, Any]) -> S:
    """Settings of a class with some fields given, the others at their defaults.

    Args:
        kind: The class.
        given: Values by name; JSON values, or texts such as ``"1e-3"``, ``"64,64"`` or ``"none"``.
            Fields of settings within settings are named with a dot.

    Raises:
        TrainingError: If a name is unknown, a value is not of the kind its field takes, or the
            class refuses it.
    """
    values = _values(kind, given)
    try:
        settings = TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(part for part in first["loc"] if isinstance(part, str))
        raise TrainingError(f"setting {name} is {first['input']!r}: {first['msg']}") from error
    for field in fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, float) and not math.isfinite(value):
            raise TrainingError(f"setting {field.name} is {value}; it must be a finite number")
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


@dataclass(frozen=True)
class Setting:
    """One setting of a learner.

    Attributes:
        name: With a dot where it is of settings within settings.
        default: As a text that `settings_from` takes.
        about: What its class says about it.
    """

    name: str
    default: str
    about: str


def settings_of(kind: type[LearnerSettings]) -> list[Setting]:
    """All settings of a class, for a reader."""
    found: list[Setting] = []

    def add(part: Any, before: str) -> None:
        about = _attributes(type(part))
        for field in fields(part):
            name, value = before + field.name, getattr(part, field.name)
            if is_dataclass(value):
                add(value, f"{name}.")
                continue
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            if value is None or isinstance(value, bool):
                text = text.lower()
            found.append(Setting(name, text, about.get(field.name, "")))

    add(kind(), "")
    return found


def _attributes(kind: type) -> dict[str, str]:
    """What docstrings of a class and its bases say under ``Attributes:``, by name."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        _, _, text = (inspect.cleandoc(base.__doc__ or "")).partition("Attributes:\n")
        for name, about in re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", text, flags=re.MULTILINE):
            found[name] = " ".join(about.replace("``", "").replace("`", "").split())
    return found


def _values(kind: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """What is given, checked for unknown names; dotted names and texts resolved."""
    defaults = {field.name: _default(field) for field in fields(kind)}
    values: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {}
    for full, value in given.items():
        name, dot, rest = full.partition(".")
        if name not in defaults or (dot and not is_dataclass(defaults[name])):
            near = difflib.get_close_matches(full, defaults, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise TrainingError(
                f"setting {full!r:.100} is unknown: {hint}there is {', '.join(defaults)}"
            )
        default = defaults[name]
        if dot:
            parts.setdefault(name, {})[rest] = value
        elif is_dataclass(default) and isinstance(value, Mapping):
            parts.setdefault(name, {}).update(value)
        else:
            several = isinstance(default, tuple)
            values[name] = _parsed(value, several) if isinstance(value, str) else value
    for name, inner in parts.items():
        values[name] = _values(type(defaults[name]), inner)
    return values


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _parsed(text: str, several: bool) -> str | list[str] | None:
    """A text as what is validated: none, a list where there are several values, or itself."""
    if text.lower() == "none":
        return None
    if several:
        return [part.strip() for part in text.strip("()[]").split(",") if part.strip()]
    return text
