"""Pages and parts of pages that are written from the code when the documentation is built."""

from __future__ import annotations

import csv
import importlib
import inspect
import pkgutil
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import figures

PACKAGES = ("optrl", "optrl_formulations")


def write(docs: Path) -> None:
    """Write everything under ``docs/_generated``."""
    target = docs / "_generated"
    shutil.rmtree(target, ignore_errors=True)
    (target / "api").mkdir(parents=True)
    _write_api(target / "api")
    _copy_gallery(docs.parent / "examples", target / "gallery")
    parts = {
        "schema.md": _schema(),
        "policies.md": _policies(),
        "demand_models.md": _demand_models(),
        "test_beds.md": _test_beds(),
        "formats.md": _formats(),
        "results.md": _results(docs / "results"),
        "commands.md": _commands(),
        "dependencies.md": _dependencies(docs.parent),
    }
    for name, text in parts.items():
        (target / name).write_text(text, encoding="utf-8")
    figures.write(docs / "results", target)


def literal_blocks(app, what, name, obj, options, lines: list[str]) -> None:
    """Make reStructuredText of a docstring that is written to be read as plain text.

    Indented blocks, its equations, become literal blocks: what stands deeper than the paragraph
    before it, after an empty line. Bars outside them are absolute values, not substitutions.
    """
    # Napoleon would take what stands before a colon in the first line for the type of a property;
    # an escaped space renders as nothing.
    result: list[str] = ["\\ "] if what in ("property", "attribute", "data") and lines else []
    before = 0
    inside = False
    for position, line in enumerate(lines):
        depth = len(line) - len(line.lstrip())
        if line.strip():
            follows = position > 1 and not lines[position - 1].strip() and bool(result)
            if inside:
                inside = depth > before
            elif follows and depth > before + 1:
                text = next((x for x in reversed(result) if x.strip()), "")
                listed = text.lstrip().startswith(("* ", "- ", ">>>"))
                if not listed and not text.rstrip().endswith("::"):
                    result += [" " * before + "::", ""]
                    inside = True
            if not inside:
                before = depth
        result.append(line if inside or ">>>" in line else line.replace("|", "\\|"))
    lines[:] = result


def modules(package: str) -> list[str]:
    """Names of a package and its modules, parents first; private ones left out."""
    root = importlib.import_module(package)
    found = [module.name for module in pkgutil.walk_packages(root.__path__, f"{package}.")]
    public = [name for name in found if not any(x.startswith("_") for x in name.split("."))]
    return sorted([package, *public])


def _copy_gallery(examples: Path, target: Path) -> None:
    """The gallery's own files: sphinx-gallery would take examples/iowa for a part of it."""
    target.mkdir()
    for path in [examples / "GALLERY_HEADER.rst", *sorted(examples.glob("plot_*.py"))]:
        shutil.copy2(path, target / path.name)


def _write_api(folder: Path) -> None:
    """One page for each package with a section for each of its modules."""
    for root in PACKAGES:
        pages: dict[str, list[str]] = {}
        for name in modules(root):
            is_package = hasattr(importlib.import_module(name), "__path__")
            pages.setdefault(name if is_package else name.rpartition(".")[0], [])
            if not is_package:
                pages[name.rpartition(".")[0]].append(name)
        for package, members in pages.items():
            lines = [package, "=" * len(package), ""]
            lines += [f".. automodule:: {package}", "   :no-members:", ""]
            lines += _exports(importlib.import_module(package))
            if package == root:
                lines += ["", ".. toctree::", "   :maxdepth: 1", ""]
                lines += [f"   {name}" for name in pages if name != root]
            for name in members:
                lines += ["", name, "-" * len(name), "", f".. automodule:: {name}", "   :members:"]
                if ">>>" in inspect.getsource(importlib.import_module(name)):
                    lines += ["", ".. testsetup::", "", f"   from {name} import *"]
            (folder / f"{package}.rst").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _exports(module: object) -> Iterable[str]:
    """What a package offers under its own name, documented where it is defined."""
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name)
        home = getattr(value, "__module__", None)
        if home is not None:
            yield f"* ``{name}``, see :py:obj:`{home}.{name}`"


def _schema() -> str:
    return importlib.import_module("optrl.tables").schema_markdown()


def _policies() -> str:
    policies = importlib.import_module("optrl.policies")
    rows = []
    for name in policies.names():
        kind = policies.find(name)
        rows.append((f"`{name}`", _first_line(kind), _source(kind)))
    return _table(("name", "what it does", "source"), rows)


def _demand_models() -> str:
    families = importlib.import_module("optrl.demand.fit").demand_families()
    rows = [
        (f"`{name}`", _first_line(kind), f"`{kind.__module__}`")
        for name, kind in sorted(families.items())
    ]
    return _table(("name", "what it is", "module"), rows)


def _test_beds() -> str:
    """Each family with its instances and its module's text, which maps the order of events."""
    testbeds = importlib.import_module("optrl.testbeds")
    parts = []
    for name in testbeds.names():
        family = testbeds.find(name)
        beds = [f"`{bed.name}`" for bed in family.cases()]
        shown = beds if len(beds) <= 10 else [beds[0], "...", beds[-1]]
        text = inspect.getdoc(inspect.getmodule(family)) or ""
        title, _, body = text.partition("\n\n")
        count = f"{len(beds)} instances" if len(beds) > 1 else "One instance"
        parts += [f"## {name}\n", title.replace("\n", " ") + "\n"]
        parts += [f"{count}: {', '.join(shown)}.\n", _as_markdown(body) + "\n"]
    return "\n".join(parts)


def _as_markdown(text: str) -> str:
    """Double backticks, code in reStructuredText, as single ones."""
    return text.replace("``", "`")


def _formats() -> str:
    found = importlib.import_module("optrl.formats.recognition").formats()
    rows = []
    for name, module in sorted(found.items()):
        rows.append((f"`{name}`", _first_line(module), _source(module)))
    return _table(("name", "format", "source"), rows)


def _results(folder: Path) -> str:
    parts = []
    for path in sorted(folder.glob("*.csv")):
        text = path.read_text(encoding="utf-8").splitlines()
        remarks = [line.lstrip("# ") for line in text if line.startswith("#")]
        rows = list(csv.reader(line for line in text if not line.startswith("#")))
        parts.append(f"## {path.stem.replace('_', ' ')}\n")
        parts += [f"- {remark}" for remark in remarks]
        parts.append("")
        parts.append(_table(rows[0], rows[1:]) if rows else "The file is empty.")
    return "\n".join(parts)


def _commands() -> str:
    """Help of every command, as the command line itself prints it."""
    from typer.main import get_command

    command = get_command(importlib.import_module("optrl.cli.app").app)
    parts = [_command_help("optrl", command)]
    for name, sub in command.commands.items():
        parts.append(_command_help(f"optrl {name}", sub))
    return "\n".join(parts)


def _command_help(title: str, command) -> str:
    arguments, options = [], []
    for parameter in command.params:
        about = " ".join((getattr(parameter, "help", None) or "").split())
        value = "" if getattr(parameter, "is_flag", False) else parameter.metavar or ""
        if parameter.param_type_name != "option":
            arguments.append((f"`{value or (parameter.name or '').upper()}`", about))
            continue
        default = parameter.default
        shown = "" if default in (None, False) or callable(default) else f" Default: `{default}`."
        options.append((f"`{' '.join([*parameter.opts, value]).strip()}`", about + shown))
    parts = [f"## {title}\n", inspect.cleandoc(command.help or "") + "\n"]
    if arguments:
        parts.append(_table(("argument", "meaning"), arguments))
    if options:
        parts.append(_table(("option", "meaning"), options))
    return "\n".join(parts)


def _dependencies(root: Path) -> str:
    import tomllib

    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = ", ".join(f"`{x}`" for x in project["dependencies"])
    extras = {
        name: ", ".join(f"`{x}`" for x in wanted)
        for name, wanted in project["optional-dependencies"].items()
    }
    lines = [f"To run: {needed}.", ""]
    lines += [f"- extra `{name}`: {wanted}" for name, wanted in extras.items()]
    return "\n".join(lines) + "\n"


def _first_line(thing: object) -> str:
    """The first paragraph of a docstring; of the module's where a class refers to it."""
    text = inspect.getdoc(thing) or ""
    if text.startswith("See the module"):
        text = inspect.getdoc(inspect.getmodule(thing)) or ""
    return text.split("\n\n")[0].replace("\n", " ")


def _source(thing: object) -> str:
    """The paragraph of the docstring that begins with Source or Sources."""
    text = inspect.getdoc(thing) or ""
    if inspect.isclass(thing):
        text += "\n\n" + (inspect.getdoc(inspect.getmodule(thing)) or "")
    for paragraph in text.split("\n\n"):
        words = " ".join(paragraph.split())
        for start in ("Source: ", "Sources: "):
            if words.startswith(start):
                words = words.removeprefix(start)
                return words[:1].upper() + words[1:]
    return ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(x).replace("|", "\\|") for x in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"
