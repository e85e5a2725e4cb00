"""What enters a comparison, from the command line: names, and policies trained beforehand."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from optrl.errors import OptrlError

if TYPE_CHECKING:
    from optrl.comparison.contender import Trained
    from optrl.demand.base import DemandModel
    from optrl.instance import Instance
    from optrl.testbeds.base import TestBed


def split(policies: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Names, and trained policies as (kind, folder), of a list such as ``s_s,ppo=out/ppo``.

    Raises:
        OptrlError: If a trained policy is of a kind that cannot be read, or its folder is missing.
    """
    names, trained = [], []
    for entry in (each.strip() for each in policies.split(",")):
        kind, given, folder = entry.partition("=")
        if given:
            if kind != "ppo":
                raise OptrlError(f"{entry!r}: trained policies are given as ppo=FOLDER")
            if not Path(folder).is_dir():
                raise OptrlError(f"{entry!r}: there is no folder {folder!r}; train into it first")
            trained.append((kind, folder))
        elif entry:
            names.append(entry)
    return names, trained


def load_trained(kind: str, folder: str, subject: Instance | TestBed) -> Trained:
    """A policy that was trained into a folder.

    Raises:
        OptrlError: If the folder holds none, or one for another instance.
    """
    from optrl.comparison.contender import Trained
    from optrl.demand.fit import fit
    from optrl.testbeds.base import TestBed

    try:
        from optrl.learning.ppo import PPOPolicy
    except ImportError as error:
        raise OptrlError(
            f"{kind}={folder} needs what is not installed here ({error}): pip install 'optrl[rl]'"
        ) from error

    demand: DemandModel
    if isinstance(subject, TestBed):
        instance, demand = subject.instance, subject.demand
    else:
        instance, demand = subject, fit(subject)
    policy = PPOPolicy.load(folder, instance, demand)
    digest = hashlib.sha256()
    for path in sorted(Path(folder).iterdir()):
        if path.is_file() and not path.name.startswith("."):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return Trained(kind, policy, digest.hexdigest()[:16])
