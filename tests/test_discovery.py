"""Classes found by the name they declare."""

import subprocess
import sys

import pytest

from optrl import learning, policies, testbeds
from optrl.discovery import declared, unknown
from optrl.errors import OptrlError

SOURCE = """
import nothing_of_this_name
from typing import ClassVar

class Found:
    name: ClassVar[str] = "found"
    def fit(self): ...

class Part:
    name: ClassVar[str] = "part"

class Nameless:
    name = "nameless"
    def fit(self): ...
"""


def test_files_are_read_and_not_imported(tmp_path):
    """A class counts with its name and method; a file that cannot be imported hides no other."""
    (tmp_path / "one.py").write_text(SOURCE)
    found = declared("some.package", (str(tmp_path),), "fit")
    assert {name: (x.module, x.kind) for name, x in found.items()} == {
        "found": ("some.package.one", "Found")
    }
    with pytest.raises(ImportError):
        found["found"].load()


def test_a_name_given_twice_is_an_error(tmp_path):
    """Both places are named."""
    for module in ("one", "two"):
        (tmp_path / f"{module}.py").write_text(SOURCE)
    with pytest.raises(OptrlError, match=r"p\.one\.Found and p\.two\.Found"):
        declared("p", (str(tmp_path),), "fit")


def test_the_nearest_names_are_suggested():
    """Also where words are joined by the other sign."""
    assert "did you mean 'base_stock'?" in unknown("policy", "Base-Stock", ["base_stock", "s_s"])
    assert "did you mean 'lost-sales'?" in unknown("test bed", "lost_sales", ["lost-sales"], "-")
    assert unknown("policy", "zzz", ["a", "b"]) == "policy 'zzz' is unknown: choose one of a, b"


@pytest.mark.parametrize("package", [policies, testbeds, learning])
def test_every_listed_class_is_found(package):
    """Its class has the name it is listed under; another name is refused."""
    if package is learning:
        pytest.importorskip("stable_baselines3", reason="the extra optrl[rl] is not installed")
    assert [package.find(name).name for name in package.names()] == list(package.names())
    with pytest.raises(OptrlError, match="is unknown"):
        package.find("nothing of this name")


def test_listing_imports_nothing_heavy():
    """Names of policies, test beds and learners cost no import of torch."""
    code = (
        "import sys\n"
        "from optrl import learning, policies, testbeds\n"
        "assert learning.names() and policies.names() and testbeds.names()\n"
        "assert not {'torch', 'numpy', 'stable_baselines3'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_an_extra_other_learners_are_found(monkeypatch):
    """A learner whose package is missing says what to install; the others are found."""
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    for module in ("optrl.learning.ppo", "optrl.learning.batched_env"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(OptrlError, match=r"pip install 'optrl\[rl\]'"):
        learning.find("ppo")
    assert learning.find("pathwise").name == "pathwise"
