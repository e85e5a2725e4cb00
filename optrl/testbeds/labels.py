"""Labels of instances beyond the published ones: what the part of a name after the family says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from optrl.errors import OptrlError

NUMBER, WHOLE = r"[0-9]+(?:\.[0-9]+)?", r"[0-9]+"
SMALLEST, LARGEST, LONGEST = 0.01, 10_000, 100
"""Bounds on numbers of a label, and on lead times, so that no name asks for more memory than there
is; in Python an instance may have others."""


class LabelError(OptrlError):
    """A label is not of its family's form."""


@dataclass(frozen=True)
class Label:
    """The form of a family's labels.

    Attributes:
        form: As a reader sees it, optional parts in brackets.
        meaning: Of each part.
        pattern: The same as a regular expression with a group a part; groups whose name is ``l`` or
            ``L`` are lead times, those that match letters are words.
        example: A full name.
    """

    form: str
    meaning: str
    pattern: str
    example: str

    def read(self, label: str) -> Mapping[str, str]:
        """The parts that a label gives, by name.

        Raises:
            LabelError: If it is not of this form, or a number is out of bounds; the message
                states the form.
        """
        found = re.fullmatch(self.pattern, label, re.ASCII)
        if found is None:
            raise LabelError(f"{label!r} is not of the form {self}")
        given = {name: text for name, text in found.groupdict().items() if text is not None}
        for name, text in given.items():
            if text[0].isdigit():
                low, high = (0, LONGEST) if name in ("l", "L") else (SMALLEST, LARGEST)
                if not low <= float(text) <= high:
                    raise LabelError(
                        f"{label!r}: {name} is {text}; it must lie between {low:g} and {high:g} in "
                        f"the form {self}"
                    )
        return given

    def __str__(self) -> str:
        return f"{self.form} ({self.meaning}), such as {self.example}"


def in_full(value: float) -> str:
    """A number in as many digits as tell it from every other."""
    short = f"{value:g}"  # as published labels have them
    return short if float(short) == value else repr(float(value))
