"""LMSF-A's ablation table (Table V of the paper), counted beside what the paper prints.

Specification section 1.6. The paper truncates to one decimal, counts some rows fused and some
not, and has two slips; `Row.note` says so row by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from models.flops import count_flops
from models.lmsf_a.network import LMSFA


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the ablation.

    Attributes:
        name: as in the paper.
        c2f_pro: its switch.
        neck: its switch.
        lmsh: its switch.
        parameters: of the network as trained.
        fused_parameters: after folding.
        gflops: "paper" convention, 640 x 640.
        fused_gflops: the same after folding.
        true_gflops: "layers" convention after folding.
        paper_parameters: as printed, in millions.
        paper_gflops: as printed.
        note: how the printed figures come about.
    """

    name: str
    c2f_pro: bool
    neck: bool
    lmsh: bool
    parameters: int
    fused_parameters: int
    gflops: float
    fused_gflops: float
    true_gflops: float
    paper_parameters: float
    paper_gflops: float
    note: str


_PRINTED = {
    (False, False, False): ("YOLOv8n-seg", 3.2, 12.1, "printed before folding"),
    (True, False, False): ("+ C2f_Pro", 2.5, 10.3, "printed after folding"),
    (False, True, False): ("+ neck", 3.2, 12.4, "after folding"),
    (False, False, True): ("+ LMSH", 2.5, 10.0, "after folding"),
    (True, True, False): ("C2f_Pro + neck", 2.5, 10.7, "after folding"),
    (True, False, True): ("C2f_Pro + LMSH", 1.9, 8.4, "after folding; the parameters are a slip"),
    (False, True, True): ("neck + LMSH", 2.5, 10.6, "before folding"),
    (True, True, True): ("LMSF-A", 1.8, 8.8, "after folding"),
}


def ablation_row(*, c2f_pro: bool, neck: bool, lmsh: bool, size_px: int = 640) -> Row:
    """Builds one of the eight networks with four classes and counts it.

    Args:
        c2f_pro: see `LMSFA`.
        neck: see `LMSFA`.
        lmsh: see `LMSFA`.
        size_px: side of the square input; the paper's figures are at 640.
    """
    network = LMSFA(num_classes=4, c2f_pro=c2f_pro, neck=neck, lmsh=lmsh)
    fused = network.fuse()
    name, parameters, gflops, note = _PRINTED[c2f_pro, neck, lmsh]
    return Row(
        name=name,
        c2f_pro=c2f_pro,
        neck=neck,
        lmsh=lmsh,
        parameters=sum(p.numel() for p in network.parameters()),
        fused_parameters=sum(p.numel() for p in fused.parameters()),
        gflops=count_flops(network, size_px, size_px, "paper") / 1e9,
        fused_gflops=count_flops(fused, size_px, size_px, "paper") / 1e9,
        true_gflops=count_flops(fused, size_px, size_px, "layers") / 1e9,
        paper_parameters=parameters,
        paper_gflops=gflops,
        note=note,
    )


def ablation_table() -> tuple[Row, ...]:
    """The eight rows, YOLOv8n-seg first and LMSF-A last, in the paper's order."""
    order = sorted(product((False, True), repeat=3), key=list(_PRINTED).index)
    return tuple(ablation_row(c2f_pro=a, neck=b, lmsh=c) for a, b, c in order)


def layer_table(num_classes: int = 4) -> tuple[tuple[str, int], ...]:
    """Name and parameters of every part of LMSF-A before folding, in order of definition."""
    network = LMSFA(num_classes=num_classes)
    return tuple((n, sum(p.numel() for p in m.parameters())) for n, m in network.named_children())
