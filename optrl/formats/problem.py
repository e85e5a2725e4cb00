"""What every reader shares: the problem it returns, its errors, numbers with their lines."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from optrl_formulations.extensive_form import TwoStageProgram
from optrl_formulations.linear_program import LinearProgram

from optrl.errors import OptrlError


class FormatError(OptrlError):
    """A file does not follow its format.

    Attributes:
        path: The file.
        line: Line number as an editor shows it, or None.
        value: What stands there, or None.
    """

    def __init__(
        self,
        path: Path,
        line: int | None,
        problem: str,
        remedy: str,
        value: str | None = None,
    ) -> None:
        self.path, self.line, self.value = path, line, value
        place = f"{path.name}, line {line}" if line is not None else path.name
        found = "" if value is None else f" (found {value!r})"
        super().__init__(f"{place}: {problem}{found}. {remedy}")


@dataclass(frozen=True)
class OpenParameters:
    """Numbers that some formats leave to the user; None leaves them to the reader.

    Attributes:
        capacity: Capacity of every warehouse where an OR-Library file says ``capacity``.
        holding_rate: Holding cost of a period per unit of money in stock, for guaranteed-service
            networks.
    """

    capacity: float | None = None
    holding_rate: float | None = None


@dataclass(frozen=True)
class Problem:
    """One optimization problem read from a file.

    Attributes:
        name: File stem, with the parameters that tell several problems of one file apart.
        size: Counts that the file states or holds, by what is counted.
        program: Builds the problem; called once, when it is solved.
        parameters: Open parameters in force.
        notes: What a reader of the result should know.
        stages: Core and scenarios of a two-stage program, whose extensive form `program` is;
            what `optrl.decomposition.benders` takes. None for others.
    """

    name: str
    size: Mapping[str, int]
    program: Callable[[], LinearProgram]
    parameters: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    stages: TwoStageProgram | None = None


def read_text(path: Path) -> str:
    """The whole file as text, unpacked from gzip; old files hold comments in any encoding.

    Raises:
        FormatError: If it cannot be read or holds no text.
    """
    try:
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FormatError(path, None, f"cannot be read: {reason}", "Check the path.") from error
    if b"\0" in raw[:4096]:
        raise FormatError(path, None, "holds binary data", "Unpack it to text first.")
    return raw.decode("utf-8", errors="replace")


class Tokens:
    """Whitespace-separated words of a file, each with its line, read one after the other."""

    def __init__(self, path: Path, text: str, first_line: int = 1) -> None:
        self._path = path
        self._words = [
            (number, word)
            for number, line in enumerate(text.splitlines(), start=first_line)
            for word in line.split()
        ]
        self._next = 0
        self._last_line = first_line + max(text.count("\n") - 1, 0)

    @property
    def line(self) -> int:
        """Line of the word read last, or of the end of the file."""
        if 0 < self._next <= len(self._words):
            return self._words[self._next - 1][0]
        return self._last_line

    def done(self) -> bool:
        """Whether all words have been read."""
        return self._next >= len(self._words)

    def word(self, what: str) -> str:
        """The next word.

        Raises:
            FormatError: If the file ends here.
        """
        if self.done():
            raise FormatError(
                self._path,
                self._last_line,
                f"the file ends where {what} is expected",
                "Complete the file or correct the counts at its beginning.",
            )
        self._next += 1
        return self._words[self._next - 1][1]

    def number(self, what: str, *, low: float = -math.inf) -> float:
        """The next word as a finite number of at least `low`."""
        return parse_number(self._path, self.word(what), self.line, what, low=low)

    def integer(self, what: str, *, low: int = 0) -> int:
        """The next word as a whole number of at least `low`."""
        return parse_integer(self._path, self.word(what), self.line, what, low=low)


def parse_number(path: Path, word: str, line: int, what: str, *, low: float = -math.inf) -> float:
    """`word` as a finite number of at least `low`.

    Raises:
        FormatError: If it is none.
    """
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise FormatError(path, line, f"{what} must be a number", "Correct the value.", word)
    if value < low:
        raise FormatError(
            path, line, f"{what} must be at least {low:g}", "Correct the value.", word
        )
    return value


def parse_integer(path: Path, word: str, line: int, what: str, *, low: int = 0) -> int:
    """`word` as a whole number of at least `low`.

    Raises:
        FormatError: If it is none.
    """
    value = parse_number(path, word, line, what, low=low)
    if value != int(value):
        raise FormatError(path, line, f"{what} must be a whole number", "Correct the value.", word)
    return int(value)
