"""Linear and mixed-integer programs in MPS, fixed or free, read by HiGHS.

Source: HiGHS' reader (https://highs.dev), which accepts both variants and gzip.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import highspy
import numpy as np
from optrl_formulations.linear_program import Block, LinearProgram
from scipy.sparse import csc_matrix, csr_matrix

from optrl.formats.mps_check import check_mps
from optrl.formats.problem import FormatError, OpenParameters, Problem, read_text

_SECTIONS = re.compile(r"^ROWS\s*$.*^COLUMNS\s*$", re.MULTILINE | re.DOTALL)


def recognizes(path: Path, head: str) -> bool:
    """The suffix, or the sections of an MPS file in one that is no core file of SMPS."""
    if path.suffixes[-2:] == [".mps", ".gz"] or path.suffix.lower() == ".mps":
        return True
    return path.suffix.lower() not in (".cor", ".core") and _SECTIONS.search(head) is not None


def read(path: Path, given: OpenParameters | None = None) -> tuple[Problem, ...]:
    """The problem of the file.

    Raises:
        FormatError: If HiGHS cannot read it.
    """
    program = parse(path)
    rows, columns = program.matrix.shape
    size = {
        "rows": rows,
        "columns": columns,
        "integers": int(program.integrality.sum()),
        "nonzeros": int(program.matrix.nnz),
    }
    stem = path.name.removesuffix(".gz").removesuffix(".mps")
    return (Problem(stem, size, lambda: program),)


def parse(path: Path) -> LinearProgram:
    """Read a file, whatever its suffix; column and row names are kept as labels.

    Raises:
        FormatError: If HiGHS cannot read it, with what HiGHS says.
    """
    check_mps(path, read_text(path))
    with tempfile.TemporaryDirectory() as folder:
        # HiGHS chooses its reader by the suffix, and writes what it finds wrong into its log.
        source, log = path, Path(folder) / "log"
        if path.suffix not in (".mps", ".gz"):
            source = Path(folder) / "core.mps"
            shutil.copyfile(path, source)
        highs = highspy.Highs()
        highs.setOptionValue("log_to_console", False)
        highs.setOptionValue("log_file", str(log))
        status = highs.readModel(str(source))
        said = log.read_text(errors="replace") if log.exists() else ""
        highs.setOptionValue("log_file", "")
    lp = highs.getLp()
    trouble = [line for line in said.splitlines() if line.startswith(("ERROR", "WARNING"))]
    if status != highspy.HighsStatus.kOk or trouble:
        reason = (
            trouble[0].replace(str(source), path.name).strip() if trouble else "no reason given"
        )
        raise FormatError(path, None, f"HiGHS cannot read it: {reason}", "Correct the file.")
    if lp.num_col_ == 0:
        raise FormatError(path, None, "there are no columns", "Add section COLUMNS.")
    return _program(path, lp, highs)


def _program(path: Path, lp: Any, highs: Any) -> LinearProgram:
    columns, rows = int(lp.num_col_), int(lp.num_row_)
    kinds = np.array([int(kind) for kind in lp.integrality_], dtype=np.int64)
    if len(kinds) == 0:
        kinds = np.zeros(columns, dtype=np.int64)
    names = list(lp.col_names_)
    for k in np.flatnonzero(kinds > 1):
        raise FormatError(
            path,
            None,
            "semicontinuous columns are not supported",
            "State it by a binary column and two rows.",
            names[k],
        )
    if highs.getModel().hessian_.dim_:
        raise FormatError(
            path, None, "quadratic objectives are not supported", "Give a linear one."
        )
    matrix = csr_matrix(
        csc_matrix(
            (
                np.array(lp.a_matrix_.value_, dtype=np.float64),
                np.array(lp.a_matrix_.index_, dtype=np.int32),
                np.array(lp.a_matrix_.start_, dtype=np.int32),
            ),
            shape=(rows, columns),
        )
    )
    matrix.sort_indices()
    maximize = lp.sense_ == highspy.ObjSense.kMaximize
    sign = -1.0 if maximize else 1.0
    row_names = list(lp.row_names_)
    return LinearProgram(
        cost=sign * np.array(lp.col_cost_, dtype=np.float64),
        offset=sign * float(lp.offset_),
        matrix=matrix,
        row_lower=np.array(lp.row_lower_, dtype=np.float64),
        row_upper=np.array(lp.row_upper_, dtype=np.float64),
        column_lower=np.array(lp.col_lower_, dtype=np.float64),
        column_upper=np.array(lp.col_upper_, dtype=np.float64),
        integrality=kinds == 1,
        columns={"column": Block("column", 0, columns, names.__getitem__)},
        rows={"row": Block("row", 0, rows, row_names.__getitem__)},
        maximize=maximize,
    )
