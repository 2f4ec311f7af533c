"""The sixteen figures of the ablation table, the per-layer table, and the FLOP conventions."""

from __future__ import annotations

from math import floor

import pytest
import torch
from torch import nn

from models.errors import OptionError
from models.flops import count_flops
from models.lmsf_a import LMSFA
from models.lmsf_a.head import Proto
from models.lmsf_a.table import SWITCHES, Count, Row, count, cpu_ms, layer_table, rows

MEASURED = {
    (False, False, False): (3_264_396, 12.113, 3_258_844, 11.976),
    (True, False, False): (2_548_796, 10.506, 2_539_500, 10.330),
    (False, True, False): (3_304_524, 12.548, 3_298_460, 12.390),
    (False, False, True): (2_505_095, 10.164, 2_500_503, 10.050),
    (True, True, False): (2_588_924, 10.941, 2_579_116, 10.743),
    (True, False, True): (1_789_495, 8.558, 1_781_159, 8.403),
    (False, True, True): (2_545_223, 10.600, 2_540_119, 10.463),
    (True, True, True): (1_829_623, 8.993, 1_820_775, 8.817),
}
LAYERS = (
    ("stem", 464), ("down2", 4_672), ("stage2", 4_096), ("down3", 18_560), ("stage3", 22_432),
    ("down4", 73_984), ("stage4", 86_464), ("down5", 295_424), ("stage5", 235_712),
    ("pool", 164_608), ("lateral5", 33_024), ("lateral3", 8_448), ("top4", 92_640),
    ("lateral4", 8_320), ("lateral2", 2_176), ("top3", 23_632), ("fusion", 29_120),
    ("bottom_down4", 36_992), ("bottom4", 59_872), ("bottom_down5", 147_712),
    ("bottom5", 235_712), ("head", 245_559),
)  # fmt: skip


NAMED = {"SE": (2.558, 10.169), "LADH": (2.5061, 9.108), "LQE": (3.2631, 11.999),
         "EfficientHead": (4.0874, 11.942)}  # fmt: skip
"""Tables VI and VIII: folded parameters in millions and GFLOPs, as the specification has them."""

Counted = list[tuple[Row, Count]]


@pytest.fixture(scope="module")
def counted() -> Counted:
    """Tables V, VI and VIII where they can be rebuilt; what two tables share is counted once."""
    known: dict[str, Count] = {}
    found = []
    for row in rows():
        if row.table != "III" and row.options is not None:
            key = str(sorted(row.options.items()))
            known[key] = known.get(key) or count(row.options)
            found.append((row, known[key]))
    return found


def test_sixteen_figures(counted: Counted) -> None:
    found = {
        tuple(row.options[s] for s in SWITCHES): (
            c.parameters, round(c.gflops, 3), c.fused_parameters, round(c.fused_gflops, 3)
        )
        for row, c in counted
        if row.table == "V"
    }  # fmt: skip
    assert found.keys() == MEASURED.keys()
    for switches, figures in MEASURED.items():
        assert found[switches] == pytest.approx(figures, abs=0.0011), switches


def test_attention_and_heads_have_the_size_that_is_specified(counted: Counted) -> None:
    found = {row.name: c for row, c in counted if row.table in ("VI", "VIII")}
    for name, (millions, gflops) in NAMED.items():
        assert found[name].fused_parameters / 1e6 == pytest.approx(millions, abs=5e-4), name
        assert found[name].fused_gflops == pytest.approx(gflops, abs=1.1e-3), name
    assert (
        count({"c2f_pro": True, "neck": False, "lmsh": False, "attention": "none"}, 64)
        != found["EMA"]
    )


def test_printed_figures_are_met_but_for_the_named_slips(counted: Counted) -> None:
    assert {row.table for row, _ in counted} == {"V", "VI", "VIII"}
    for row, c in counted:
        folded = "after" in row.note
        gflops = c.fused_gflops if folded else c.gflops
        parameters = c.fused_parameters if folded else c.parameters
        met = gflops == pytest.approx(row.paper["gflops"], abs=0.06)
        assert met != ("unresolved" in row.note), row.name
        printed = floor(parameters / 1e5) / 10 == row.paper["parameters_m"]
        assert printed != ("slip" in row.note), row.name


def test_what_is_not_pinned_down_is_named_and_not_counted() -> None:
    missing = [row for row in rows() if row.options is None]
    assert [row.name for row in missing] == ["AFGC", "CPCA", "SimAM"]
    assert all("not rebuilt" in row.note for row in missing)
    third = [row for row in rows() if row.table == "III"]
    assert [row.paper["map50"] for row in third] == [72.0, 72.3, 74.2, 72.0, 72.6, 72.5, 72.2, 74.4]
    assert [row.options for row in third] == [r.options for r in rows() if r.table == "V"]


def test_true_count(counted: Counted) -> None:
    by_name = {row.name: c for row, c in counted}
    assert by_name["LMSF-A"].true_gflops == pytest.approx(8.22, abs=0.05)
    executed = count_flops(LMSFA().fuse(), convention="executed") / 1e9
    assert executed == pytest.approx(by_name["LMSF-A"].true_gflops, rel=0.01)


def test_time_is_of_the_folded_network() -> None:
    assert cpu_ms({"width": 0.05, "depth": 0.1}, size_px=64, passes=3) > 0


def test_layer_table() -> None:
    assert layer_table() == LAYERS
    head = dict(LMSFA().head.named_children())

    def count(*modules: nn.Module) -> int:
        return sum(p.numel() for m in modules for p in m.parameters())

    assert count(head["stems"]) == 29_056
    assert count(head["shared"]) == 73_984
    assert count(head["box"]) == 4_160
    assert count(head["classify"]) == 260
    assert count(head["coefficients"]) == 45_536
    assert count(head["proto"]) == 92_544
    assert count(head["dfl"]) == 16


def test_conventions_on_a_part_counted_by_hand() -> None:
    proto = Proto(8, 4, 2).eval()

    class Alone(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.widen, self.proto = nn.Conv2d(3, 8, 1, stride=8), proto

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.proto(self.widen(x))

    small, large = 4 * 4, 8 * 8
    convs = small * (3 * 8 + 9 * 8 * 4) + large * (9 * 4 * 4 + 4 * 2)
    up = small * 4 * 4 * 4
    norms = 4 * (small * 4 + large * (4 + 2))
    assert count_flops(Alone(), 32, 32) == 2 * (convs + up)
    assert count_flops(Alone(), 32, 32, "paper") == 2 * (convs + 4 * up + norms)
    with pytest.raises(OptionError, match="paper, layers, executed"):
        count_flops(Alone(), 32, 32, "thop")


def test_counting_leaves_the_network_as_it_was() -> None:
    network = LMSFA().train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    small = count({}, size_px=64)
    assert count_flops(network, 64, 64, "paper") == round(small.gflops * 1e9)
    assert network.training
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
