"""The report: sound HTML, self-contained, small, and shown by a browser on phone and paper."""

import re
import shutil
import subprocess
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import optrl
from optrl.comparison.result import Comparison
from optrl.report.causes import contrast, full_share, kind_costs
from optrl.report.layout import place
from optrl.report.page import report_page
from optrl.report.svg import Axis, percent, short, signed
from optrl.report.twins import told_apart, twins
from optrl.testing import random_instance

VOID = {"meta", "link", "br"}


class Checker(HTMLParser):
    """Notes tags left open and addresses asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """Closed where it opens, as parts of drawings are; may ask for an address all the same."""
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    """Three policies on a network whose capacity binds, with names that need escaping."""
    instance = random_instance(np.random.default_rng(11), horizon=10)
    network = replace(instance.network, items=("<b>&\"'", "item 1"))
    return optrl.compare(
        replace(instance, network=network, name="R&D <net>"),
        ["base_stock", "s_s", "newsvendor"],
        scenarios=40,
        bound_scenarios=2,
    )


def test_page_is_sound_and_self_contained(comparison: Comparison) -> None:
    """Every tag is closed, nothing is fetched, names are escaped, all sections are there."""
    page = report_page(comparison)
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert set(checker.addresses) == {"data:,"}
    assert not re.search(r"https?://|url\(|@import", page)
    assert "<net>" not in page
    assert "R&amp;D &lt;net&gt;" in page
    assert "nan" not in re.sub("[a-z]+nan|nan[a-z]+", "", page)
    assert len(page.encode()) < 3_000_000
    for title in ("Ranking", "Cost by kind", "over time", "bottlenecks", "differ, and why"):
        assert title in page
    assert comparison.provenance["instance_hash"] in page


def test_one_policy_and_one_path(comparison: Comparison) -> None:
    """The page holds where there is nothing to compare or no interval to give."""
    alone = optrl.compare(comparison.instance, ["base_stock"], scenarios=1)
    page = report_page(alone)
    assert "proves nothing" in page
    Checker().feed(page)


def test_large_instances_have_no_map(comparison: Comparison) -> None:
    """Where flows were too many to record, the page says so."""
    bare = {k: replace(m, breakdown=None) for k, m in comparison.measurements.items()}
    page = report_page(replace(comparison, measurements=bare))
    assert "too large to record flows" in page


def test_contrast_adds_up(comparison: Comparison) -> None:
    """Differences by kind sum to the difference in undiscounted cost; the largest come first."""
    order = comparison.ranking["policy"].to_list()
    found = contrast(comparison, order[2], order[0])
    expected = sum(kind_costs(comparison, order[2]).values())
    expected -= sum(kind_costs(comparison, order[0]).values())
    assert sum(found.kinds.values()) == pytest.approx(expected)
    # No discount here: the same as the difference in the ranking.
    assert expected == pytest.approx(comparison.ranking["above_best"][2])
    for places in (found.items, found.nodes, found.periods):
        sizes = [abs(each.difference) for each in places]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes


def test_full_resources_are_found(comparison: Comparison) -> None:
    """A resource without slack is full; one with endless capacity never is."""
    share = full_share(comparison, "base_stock")
    path = comparison.measurements["base_stock"].trajectory
    for r in range(len(share)):
        use, capacity = path.resource_use[:, r], path.capacity[r]
        assert share[r] == pytest.approx(float((use >= 0.999 * capacity).double().mean()))
    assert share.max() > 0


def test_layers_and_map_stay_inside() -> None:
    """Every node lies on the map, by layers and by coordinates with suppliers far away."""
    network = random_instance(np.random.default_rng(2), stocking=4, customers=9).network
    points, height = place(network, 400)
    assert ((points >= 0) & (points <= [400, height])).all()
    assert points[0, 0] < points[-1, 0]
    graph = network.graph.copy()
    for k, node in enumerate(graph.nodes):
        far = graph.nodes[node]["kind"] == "supplier"
        graph.nodes[node].update(latitude=40 + k % 3 + 50 * far, longitude=k / 2.0 + 20 * far)
    points, height = place(replace(network, graph=graph), 400)
    assert ((points >= 0) & (points <= [400, height])).all()
    assert np.hypot(*(points[0] - points[1])) > 10


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (20_781_234, "20.8M"),
        (999.6, "1.00k"),
        (-137_000, "−137k"),  # noqa: RUF001
        (0.01234, "0.0123"),
        (0, "0"),
        (float("nan"), "–"),  # noqa: RUF001
    ],
)
def test_numbers_are_short(value: float, shown: str) -> None:
    """Three digits and a suffix."""
    assert short(value) == shown
    assert signed(5) == "+5.00"
    assert percent(0.1234) == "12.3 %"


def test_axis_has_round_ticks() -> None:
    """Ticks are round, ascending and on the axis, for flat data too."""
    for values in ([0.0, 97.0], [5.0, 5.0], [-3e6, 2e6], [float("inf"), 1.0]):
        axis = Axis.over(values, 10, 390, zero=True)
        ticks = axis.ticks()
        assert 2 <= len(ticks) <= 8
        assert all(10 <= axis(tick) <= 390 for tick in ticks)


BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=5000",
]
PROBE = """
<script>addEventListener('load', () => {
  const wide = document.documentElement.scrollWidth, seen = innerWidth;
  const empty = [...document.querySelectorAll('svg')].filter(
    s => s.getClientRects().length && s.getBoundingClientRect().height < 5).length;
  const asked = performance.getEntriesByType('resource').length;
  top.document.title = `probe wide=${wide} seen=${seen} empty=${empty} asked=${asked}`;
});</script></body>
"""


@pytest.mark.skipif(BROWSER is None, reason="Debian's chromium is not installed")
@pytest.mark.parametrize("width", [360, 1200])
def test_browser_shows_it(comparison: Comparison, tmp_path: Path, width: int) -> None:
    """No sideways scrolling, no empty drawing and no request, on narrow and wide screens."""
    # Within a frame, because browsers keep windows without a screen at least 500 wide.
    page = escape(report_page(comparison).replace("</body>", PROBE), quote=True)
    frame = f'<iframe style="width:{width}px;height:900px;border:0" srcdoc="{page}"></iframe>'
    (tmp_path / "page.html").write_text(f"<!DOCTYPE html>{frame}", encoding="utf-8")
    shown = subprocess.run(
        [
            str(BROWSER),
            *FLAGS,
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1400,1000",
            "--dump-dom",
            (tmp_path / "page.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    found = re.search(r"probe wide=(\d+) seen=(\d+) empty=(\d+) asked=(\d+)", shown)
    assert found is not None
    wide, seen, empty, asked = map(int, found.groups())
    assert seen == width
    assert wide <= seen
    assert empty == 0
    assert asked == 0


@pytest.mark.skipif(BROWSER is None, reason="Debian's chromium is not installed")
def test_browser_prints_it(comparison: Comparison, tmp_path: Path) -> None:
    """It prints to a PDF of several pages, with closed parts opened: as many pages as if open."""
    page = report_page(comparison)
    assert "<details>" in page
    opened = page.replace("<details>", "<details open>")
    without = re.sub(r"<details>.*?</details>", "", page, flags=re.DOTALL)
    sheets = [printed(text, tmp_path) for text in (page, opened, without)]
    assert sheets[0] >= 5
    assert sheets[0] == sheets[1]
    assert sheets[0] > sheets[2]


def printed(page: str, folder: Path) -> int:
    """Sheets of paper that a page takes."""
    (folder / "page.html").write_text(page, encoding="utf-8")
    subprocess.run(
        [
            str(BROWSER),
            *FLAGS,
            f"--user-data-dir={folder / 'profile'}",
            f"--print-to-pdf={folder / 'page.pdf'}",
            (folder / "page.html").as_uri(),
        ],
        capture_output=True,
        timeout=120,
        check=True,
    )
    pdf = (folder / "page.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


def test_policies_that_do_the_same_are_shown_once() -> None:
    """A twin is named in the ranking and left out of charts; the cheapest is always shown."""
    instance = random_instance(np.random.default_rng(11), horizon=8)
    without = replace(
        instance.network,
        fixed_cost=np.zeros_like(instance.network.fixed_cost),
        joint_fixed_cost=np.zeros_like(instance.network.joint_fixed_cost),
    )
    found = optrl.compare(
        replace(instance, network=without),
        ["base_stock", "dual_index", "newsvendor"],
        scenarios=6,
        until_settled=False,
        limits={"dual_index": 3},
    )
    same = twins(found)
    assert set(same) | set(same.values()) == {"base_stock", "dual_index"}
    assert found.ranking["policy"][0] in told_apart(found)
    assert len(told_apart(found)) == 2
    page = report_page(found)
    twin, shown = next(iter(same.items()))
    # One of the two met 3 of the 6 scenarios: nothing is known of the others.
    words = f"The same as {shown.replace('_', ' ')} in all 3 scenarios that both met, and not "
    assert words + "listed: " + twin.replace("_", " ") in page
    assert "Order-up-to levels by node" in page
    charts = page[page.index("Cost by kind") : page.index("What this rests on")]
    assert f">{twin.replace('_', ' ')}<" not in charts
