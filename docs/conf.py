"""Configuration of the documentation: `sphinx-build -W --keep-going -b html docs docs/_build/html`.

Pages that restate what the code declares (schema of the instance folder, table of known values,
policies, demand models, test beds, formats) are written here from the code at build time, so that
they cannot differ from it.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("OMP_NUM_THREADS", "1")

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(ROOT / "formulations"), str(HERE)]

import generated  # noqa: E402

from optrl._version import __version__  # noqa: E402

project = "optrl"
author = "The optrl authors"
copyright = "The optrl authors, Apache-2.0"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["_build", "_generated/*.md", "_generated/gallery", "results"]

# Options of the command line begin with two dashes.
smartquotes = False

html_theme = "furo"
html_title = f"optrl {release}"
html_show_sourcelink = False
# Reports of `optrl compare`, as they are.
html_extra_path = ["reports"]

# Two classes are called LostSales, in `exact` and in `policies`, which short names in annotations
# do not tell apart. This silences such ambiguity alone.
suppress_warnings = ["ref.python"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "show-inheritance": False}
autosummary_generate = True
# Docstrings name things in single backticks, as code.
default_role = "code"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Source", "Sources"]

sphinx_gallery_conf = {
    "examples_dirs": ["_generated/gallery"],
    "gallery_dirs": ["auto_examples"],
    "filename_pattern": r"/plot_",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "plot_gallery": "True",
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "matplotlib_animations": False,
    "within_subsection_order": "FileNameSortKey",
}
warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")

generated.write(HERE)


def setup(app) -> None:
    """Treat indented blocks of docstrings as literal, before napoleon reads its sections."""
    app.connect("autodoc-process-docstring", generated.literal_blocks, priority=100)
