"""The field's own file formats: recognized, read, and solved.

A new format is one new module with `recognizes` and `read`, found by walking this package.
"""

from optrl.formats.problem import FormatError, OpenParameters, Problem
from optrl.formats.solve import FileResult, solve_file

__all__ = ["FileResult", "FormatError", "OpenParameters", "Problem", "solve_file"]
