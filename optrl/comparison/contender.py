"""What enters a comparison: a policy by name, by class, or trained beforehand."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from optrl.demand.base import DemandModel
from optrl.errors import OptrlError
from optrl.evaluation.judge import BOUND
from optrl.evaluation.policy_names import find_simulated
from optrl.identity import source_hash
from optrl.instance import Instance
from optrl.policies.base import Policy
from optrl.simulation.rollout import DecidingPolicy, SeparablePolicy


@dataclass(frozen=True)
class Trained:
    """A policy that was fitted or trained beforehand.

    Attributes:
        name: Name in tables, letters, digits, ``_``, ``-`` and ``.``.
        policy: Decides; each part of the scenarios is decided by a copy of it.
        fingerprint: Tells it from others of the name, such as the hash of its checkpoint; needed
            to keep parts on disk.
    """

    name: str
    policy: DecidingPolicy
    fingerprint: str = ""


Entry = str | type[Policy] | Trained


@dataclass
class Contender:
    """A policy that is made fresh for every part of the scenarios.

    Attributes:
        name: Name in tables.
        key: Name of its kept parts.
        quick: Whether it decides each item by itself, without programs.
        source: What it is made from.
    """

    name: str
    key: str
    quick: bool
    source: type[Policy] | Trained
    _fitted: Policy | None = field(default=None, repr=False)

    def fresh(self, instance: Instance, believed: DemandModel, seed: int) -> DecidingPolicy:
        """The policy as it was right after `fit`, whatever it has decided since.

        Raises:
            OptrlError: If a trained policy cannot be copied, or does not apply to the instance.
        """
        if isinstance(self.source, Trained):
            try:
                return copy.deepcopy(self.source.policy)
            except (TypeError, RuntimeError, copy.Error) as error:
                raise OptrlError(
                    f"policy {self.name!r} cannot be copied ({error}), so that what it remembers "
                    "would pass from one part of the scenarios to the next. Give its class."
                ) from error
        if self._fitted is not None:
            return copy.deepcopy(self._fitted)
        fitted = self.source.fit(instance, believed, seed=seed)
        # What holds a solver cannot be copied and is fitted anew for each part.
        with suppress(TypeError, RuntimeError, copy.Error):
            self._fitted = copy.deepcopy(fitted)
        return fitted


def contenders(entries: Sequence[Entry], *, kept: bool) -> tuple[Contender, ...]:
    """What enters, checked.

    Args:
        entries: Names, classes and trained policies.
        kept: Whether parts are kept on disk, so that each must be told from others of its name.

    Raises:
        OptrlError: If there is none, one is unknown or given twice, or one cannot be told apart.
    """
    result = tuple(_contender(entry, kept) for entry in entries)
    names = [each.name for each in result]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise OptrlError(f"policy {twice[0]!r} is given twice: name each policy once")
    if BOUND in names:
        raise OptrlError(f"{BOUND!r} is no policy but a bound: ask for it by its number")
    if not names:
        raise OptrlError("there is nothing to compare: name at least one policy")
    return result


def _contender(entry: Entry, kept: bool) -> Contender:
    if isinstance(entry, Trained):
        if not re.fullmatch(r"[\w.-]+", entry.name):
            raise OptrlError(
                f"{entry.name!r} is no name of a policy: use letters, digits, '_', '-' and '.'"
            )
        if kept and not entry.fingerprint:
            raise OptrlError(
                f"trained policy {entry.name!r} has no fingerprint, so that kept parts could be "
                "those of another. Give the hash of its checkpoint, or compare without a folder."
            )
        quick = isinstance(entry.policy, SeparablePolicy)
        key = f"{entry.name}-{entry.fingerprint}" if entry.fingerprint else entry.name
        return Contender(entry.name, key, quick, entry)
    if isinstance(entry, str):
        kind, source = find_simulated(entry), ""
    else:
        kind, source = entry, source_hash(entry) if kept else ""
    key = f"{kind.name}-{source}" if source else kind.name
    return Contender(kind.name, key, issubclass(kind, SeparablePolicy), kind)
