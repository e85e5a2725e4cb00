"""Small files of each format, written by the tests, with optima solved by hand."""

from pathlib import Path

import pytest

CAP = """ 2 2
 10 4.
 capacity 5.
 3
 6.0 9.0
 4
 20.0 4.0
"""

MIN = """c a diamond
p min 4 5
n 1 4
n 4 -4
a 1 2 0 4 2
a 1 3 0 2 2
a 2 3 1 2 1
a 2 4 0 3 3
a 3 4 0 5 1
"""

FCN = """Set n / n1*n3 /;
Set s / a1*a2 /;

yupp('n1','n1','a1')=0;

Parameter fcost(m,n,s) /
$ondelim
   n1      n2      a1             4
   n1      n2      a2             1
   n2      n3      a1            -7
   n1      n3      a1            30
$offdelim
/;

Parameter vcost(m,n,s) /
$ondelim
   n1      n2      a1             1
   n1      n2      a2             3
   n2      n3      a1             5
$offdelim
/;

Parameter demand(n) /
   n1              5
   n3             -5
/;

* Upper bound for flow on any arc
demand(n) = -demand(n);
fcost(m,n,s) = 2 * fcost(m,n,s);
u = -sum(n$(demand(n)<0), demand(n));
xupp(m,n,s)$(fcost(m,n,s) or vcost(m,n,s)) = u;
loop((m,n,s)$(fcost(m,n,s)<0),
   fcost(m,n,s)=0;
   vcost(m,n,s)=0;
);
"""

GSM = (
    "stage_id,lead_time,max_s_time,cost_rate,risk_pool,ext_demand_mean,ext_demand_std,"
    "ext_demand_thres,up_stages\n"
    "Shop,1,0,10,,5,2,2.0,Plant,2\n"
    "Plant,3,,1,1\n"
)

TRIGEIRO = """   2   3
    1
   20
 1.00 1.00   2.   10.
 1.00 2.00   3.   20.
    4    0
    5    6
    6    5

  remarks follow
"""

MPS = """NAME          small
ROWS
 N  COST
 G  NEED
COLUMNS
    M0        'MARKER'                 'INTORG'
    X         COST      3.0   NEED      2.0
    M1        'MARKER'                 'INTEND'
    Y         COST      2.0   NEED      1.0
RHS
    RHS       NEED      5.0
BOUNDS
 UP BND       X         9.0
ENDATA
"""

COR = """NAME          vendor
ROWS
 N  COST
 L  STOCK
 E  DEMAND
COLUMNS
    BUY       COST      1.0   STOCK    -1.0
    SELL      COST     -3.0   STOCK     1.0
    SELL      DEMAND    1.0
    UNMET     DEMAND    1.0
RHS
    RHS       DEMAND    6.0
ENDATA
"""

TIM = """TIME          vendor
PERIODS
    BUY       COST                     ONE
    SELL      STOCK                    TWO
ENDATA
"""

STO = """STOCH         vendor
SCENARIOS     DISCRETE
* the second scenario keeps the demand of the core
 SC LOW       ROOT      0.3       TWO
    RHS       DEMAND    4.0
 SC MID       'ROOT'    0.4       TWO
 SC HIGH      LOW       0.3       TWO
    RHS       DEMAND    8.0
ENDATA
"""

NETDES = """An instance of the stochastic Fixed - charge Network Flow Problem
Adjacency Matrix, A
+
3
0.5
200
0,1,0;0,0,1;0,0,0
0,10,0;0,0,7;0,0,0
2
0.5,0.5
--Scenarios--
0,3,0;0,0,1;0,0,0
0,5,0;0,0,9;0,0,0
2,-2,0
--End of Scenario
0,4,0;0,0,2;0,0,0
0,6,0;0,0,9;0,0,0
4,-3,-1
"""

NDP = """2 2 1 2
1 2 0.0 3.0 5.0
1 2 0.0 10.0 8.0
1 2
0.95 2.0
0.05 12.0
"""

FILES = {
    "small.txt": CAP,
    "small.min": MIN,
    "small.inc": FCN,
    "network.txt": GSM,
    "SMALL": TRIGEIRO,
    "small.mps": MPS,
    "vendor.cor": COR,
    "vendor.tim": TIM,
    "vendor.sto": STO,
    "arcs.dat": NETDES,
    "arcs.ndp": NDP,
}


@pytest.fixture
def write(tmp_path):
    """Write one of FILES, with a piece of text replaced, and return its path."""

    def write_file(name: str, old: str = "", new: str = "") -> Path:
        text = FILES[name]
        assert old in text
        path = tmp_path / name
        path.write_text(text.replace(old, new, 1) if old else text)
        return path

    return write_file
