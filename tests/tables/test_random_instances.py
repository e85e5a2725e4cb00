"""Random instances survive writing and reading, suppliers that serve customers included."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optrl_formulations.network import NodeKind

from optrl.tables import differences, load, save
from optrl.testing import random_instance


@pytest.mark.parametrize("seed", range(6))
def test_round_trip(seed: int, tmp_path: Path) -> None:
    """What is read is what was written, to the last number."""
    generator = np.random.default_rng(seed)
    made = random_instance(
        generator,
        integers=seed % 2 == 1,
        limited_supply=seed % 3 == 0,
        service=seed % 2 == 0,
        unmet="backorder" if seed > 2 else "lost",
        discount=0.95,
    )
    # Every item may use every lane: otherwise the check may rightly find demand out of reach.
    network = replace(made.network, allowed=np.ones_like(made.network.allowed))
    instance = replace(made, network=network)
    save(instance, tmp_path / "instance")
    assert differences(load(tmp_path / "instance"), instance) == ()


def test_supplier_serves_customer(tmp_path: Path) -> None:
    """A lane from a supplier straight to a customer is a serving lane, not a fault."""
    made = random_instance(np.random.default_rng(0))
    save(made, tmp_path / "instance")
    network = load(tmp_path / "instance").network
    lane = network.lanes.index(("supplier1", "customer0"))
    assert network.kind[network.origin[lane]] == NodeKind.SUPPLIER
    assert lane in network.serving_lanes
