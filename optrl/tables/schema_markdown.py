"""The documentation of the instance folder, generated from its declaration."""

from __future__ import annotations

from collections.abc import Iterable

from optrl.tables.schema import TABLES, Column, TableSchema
from optrl.tables.settings import Settings


def schema_markdown() -> str:
    """Markdown that describes ``instance.toml`` and every table of an instance folder."""
    return "\n".join([*_settings(), *(line for table in TABLES for line in _table(table))])


def _settings() -> Iterable[str]:
    yield "### instance.toml\n"
    yield "| key | default | meaning |"
    yield "|---|---|---|"
    for name, field in Settings.model_fields.items():
        default = (
            "required"
            if field.is_required()
            else f"`{field.get_default(call_default_factory=True, validated_data={})!r}`"
        )
        yield f"| `{name}` | {default} | {_cell(field.description or '')} |"
    yield ""


def _table(table: TableSchema) -> Iterable[str]:
    yield f"### {table.name}{'' if table.required else ' (optional)'}\n"
    yield f"{table.meaning} Key: {', '.join(f'`{name}`' for name in table.key)}.\n"
    yield "| column | type | allowed | default | meaning |"
    yield "|---|---|---|---|---|"
    for column in table.columns:
        yield (
            f"| `{column.name}` | {column.type} | {_cell(_allowed(column))} "
            f"| {_default(table, column)} | {_cell(column.meaning)} |"
        )
    yield ""


def _allowed(column: Column) -> str:
    if column.choices:
        return ", ".join(column.choices)
    if column.references is not None:
        return f"a name in {column.references}"
    bounds = []
    if column.minimum is not None:
        bounds.append(f"at least {column.minimum:g}")
    if column.maximum is not None:
        bounds.append(f"at most {column.maximum:g}")
    if column.infinite:
        bounds.append("or inf")
    return ", ".join(bounds)


def _default(table: TableSchema, column: Column) -> str:
    if table.quantiles and column.name not in table.key:
        return "the column may be left out"
    if column.required:
        return "required"
    return "empty" if column.default is None else f"`{column.default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
