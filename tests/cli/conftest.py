"""Small instance folders and a way to run the command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from optrl.cli.app import app
from optrl.instance import Instance
from optrl.tables import save
from optrl.testing import random_instance

Run = Callable[..., "Outcome"]


class Outcome:
    """Exit code and both streams of a run."""

    def __init__(self, code: int, out: str, err: str) -> None:
        """See the class."""
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def run() -> Run:
    """Runs ``optrl`` with the words given."""

    def run(*words: object) -> Outcome:
        found = CliRunner().invoke(app, [str(word) for word in words])
        return Outcome(found.exit_code, found.stdout, found.stderr)

    return run


def small_instance(seed: int = 4) -> Instance:
    """Two items, four periods kept; every item may use every lane."""
    made = random_instance(np.random.default_rng(seed), horizon=8)
    network = replace(made.network, allowed=np.ones_like(made.network.allowed))
    demand = replace(made.demand, quantity=made.demand.quantity[:, :, :12])
    return replace(made, network=network, demand=demand, name="small")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """`small_instance` as a folder."""
    save(small_instance(), tmp_path / "small")
    return tmp_path / "small"


@pytest.fixture
def faulty(small: Path) -> Path:
    """The folder with two faults in it."""
    nodes = small / "nodes.csv"
    nodes.write_text(nodes.read_text().replace("customer1,customer", "customer1,customre"))
    stock = small / "stock.csv"
    lines = stock.read_text().splitlines()
    lines[1] = lines[1].rsplit(",", 1)[0] + ",-4"
    stock.write_text("\n".join(lines) + "\n")
    return small
