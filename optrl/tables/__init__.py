"""The instance folder: tables read, checked and written; a user's own graph; atomic files."""

from optrl.tables.atomic import write_file, write_folder
from optrl.tables.differences import differences
from optrl.tables.folder import check, load, save
from optrl.tables.graph import from_graph
from optrl.tables.schema_markdown import schema_markdown

__all__ = [
    "check",
    "differences",
    "from_graph",
    "load",
    "save",
    "schema_markdown",
    "write_file",
    "write_folder",
]
