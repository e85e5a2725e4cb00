"""Faults of an MPS file that HiGHS' reader passes over in silence, found with their lines.

HiGHS 1.15 reads ``5.x`` as 5, skips bounds of unknown columns without a word and entries of unknown
rows with a warning. Lines whose words do not fit the section, such as names with blanks in
fixed format, are left to HiGHS.
"""

from __future__ import annotations

from pathlib import Path

from optrl.formats.problem import FormatError, parse_number

_WITHOUT_VALUE = ("FR", "MI", "PL", "BV")
_INFINITE = ("inf", "+inf", "-inf", "infinity", "+infinity", "-infinity")


def check_mps(path: Path, text: str) -> None:
    """Check names and numbers of sections ROWS, COLUMNS, RHS, RANGES and BOUNDS.

    Raises:
        FormatError: At the first unknown row or column or word that is no number.
    """
    rows: set[str] = set()
    columns: set[str] = set()
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words or line.startswith("*"):
            continue
        if not line[0].isspace():
            section = words[0].upper()
        elif section == "ROWS" and len(words) == 2:
            rows.add(words[1])
        elif section == "COLUMNS" and len(words) in (3, 5):
            if words[1] != "'MARKER'":
                columns.add(words[0])
                _pairs(path, number, words[1:], rows)
        elif section in ("RHS", "RANGES") and len(words) in (2, 3, 4, 5):
            _pairs(path, number, words[len(words) % 2 :], rows)
        elif section == "BOUNDS":
            _bound(path, number, words, columns)
    if section != "ENDATA":
        raise FormatError(
            path, text.count("\n"), "the file does not end with ENDATA", "Complete the file."
        )


def _pairs(path: Path, line: int, words: list[str], rows: set[str]) -> None:
    for row, value in zip(words[::2], words[1::2], strict=True):
        if row not in rows:
            raise FormatError(path, line, "the row is not in ROWS", "Correct the name.", row)
        parse_number(path, value, line, "the value")


def _bound(path: Path, line: int, words: list[str], columns: set[str]) -> None:
    values = 0 if words[0].upper() in _WITHOUT_VALUE else 1
    if len(words) == 2 + values:  # without the name of the bound vector
        place = 1
    elif len(words) in (3 + values, 4):
        place = 2
    else:
        return
    if words[place] not in columns:
        raise FormatError(
            path, line, "the column is not in COLUMNS", "Correct the name.", words[place]
        )
    if values and words[place + 1].lower() not in _INFINITE:
        parse_number(path, words[place + 1], line, "the bound")
