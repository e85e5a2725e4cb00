"""What enters a comparison, from the command line: names, and policies trained beforehand."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from optrl.cli.terminal import write_line
from optrl.errors import OptrlError
from optrl.policies import names as known_policies

if TYPE_CHECKING:
    from optrl.comparison.contender import Trained
    from optrl.demand.base import DemandModel
    from optrl.instance import Instance
    from optrl.testbeds.base import TestBed


def split(policies: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Names, and trained policies as (name, folder), of a list such as ``s_s,mine=out/ppo``.

    Raises:
        OptrlError: If the folder of a trained policy is missing, or its name is that of a policy.
    """
    names, trained = [], []
    for entry in (each.strip() for each in policies.split(",")):
        name, given, folder = entry.partition("=")
        if given:
            if name in known_policies():
                raise OptrlError(
                    f"{entry!r}: {name} is the name of a policy that needs no folder; choose "
                    "another for the trained one"
                )
            if not Path(folder).is_dir():
                raise OptrlError(f"{entry!r}: there is no folder {folder!r}; train into it first")
            trained.append((name, folder))
        elif entry:
            names.append(entry)
    return names, trained


def load_trained(name: str, folder: str, subject: Instance | TestBed) -> Trained:
    """A policy that was trained into a folder, by whatever learner the folder says.

    One that was trained on another instance and fits this one is taken, with a warning on standard
    error: how a policy generalizes may be what is asked.

    Raises:
        OptrlError: If the folder holds none, or one that does not fit the instance.
    """
    from optrl.comparison.contender import Trained
    from optrl.demand.fit import fit
    from optrl.learning.folder import POLICY, load_policy, stranger
    from optrl.testbeds.base import TestBed

    demand: DemandModel
    if isinstance(subject, TestBed):
        instance, demand = subject.instance, subject.demand
    else:
        instance, demand = subject, fit(subject)
    try:
        policy = load_policy(folder, instance, demand)
    except OptrlError as error:
        raise OptrlError(
            f"{name}={folder}: {error}. Leave it out, or train one for {instance.name!r}: "
            "optrl train DIR --out FOLDER"
        ) from error
    other = stranger(folder, instance, demand)
    if other is not None:
        write_line(f"warning: {name} was trained on {other} ({folder})", error=True)
    digest = hashlib.sha256()
    for path in sorted((Path(folder) / POLICY).iterdir()):
        if path.is_file() and not path.name.startswith("."):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return Trained(name, policy, digest.hexdigest()[:16])
