"""LMSF-A's tables III, V, VI and VIII: what the paper prints beside what this code counts.

Specification section 1.6. The paper truncates parameters to one decimal, counts some rows folded
and some not, and has slips; `Row.note` says so row by row. Networks have four classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from time import process_time

import torch

from models.flops import count_flops
from models.lmsf_a.network import LMSFA

SWITCHES = ("c2f_pro", "neck", "lmsh")
"""The options that the ablation turns on one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What a network holds and does.

    Attributes:
        parameters: of the network as trained.
        fused_parameters: after folding.
        gflops: "paper" convention.
        fused_gflops: the same after folding.
        true_gflops: "layers" convention after folding.
    """

    parameters: int
    fused_parameters: int
    gflops: float
    fused_gflops: float
    true_gflops: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a table.

    Attributes:
        table: "III", "V", "VI" or "VIII".
        name: as in the paper.
        options: of the network, besides the classes; None where the paper does not pin it down.
        paper: what is printed: "map50" and "map50_95" in percent, or "parameters_m", "gflops"
            and "frames_per_second" (one RTX 3060).
        note: how the printed figures come about, or why they cannot.
    """

    table: str
    name: str
    options: dict[str, object] | None
    paper: dict[str, float]
    note: str


_SIZE = ("parameters_m", "gflops", "frames_per_second")
_WORTH = ("map50", "map50_95")
_PEERS = {"neck": False, "lmsh": False}
_UNPLACED = (
    "not rebuilt: where it sits is not said, and the printed size is that of the plain network "
)
_ABLATION = (
    ("YOLOv8n-seg", "000", (72.0, 40.9), (3.2, 12.1, 170.8), "before folding"),
    ("+ C2f_Pro", "100", (72.3, 41.5), (2.5, 10.3, 189.0), "after folding"),
    ("+ neck", "010", (74.2, 42.8), (3.2, 12.4, 166.3), "after folding"),
    ("+ LMSH", "001", (72.0, 41.2), (2.5, 10.0, 195.3), "after folding"),
    ("C2f_Pro + neck", "110", (72.6, 42.5), (2.5, 10.7, 180.1), "after folding"),
    (
        "C2f_Pro + LMSH",
        "101",
        (72.5, 41.5),
        (1.9, 8.4, 191.1),
        "after folding; the parameters are a slip",
    ),
    ("neck + LMSH", "011", (72.2, 42.3), (2.5, 10.6, 187.2), "before folding"),
    ("LMSF-A", "111", (74.4, 43.0), (1.8, 8.8, 191.7), "after folding"),
)
_ATTENTION = (
    ("SE", {"attention": "se"}, (3.2, 10.2, 180.2), "after folding; the parameters are a slip"),
    ("AFGC", None, (3.2, 12.0, 183.8), _UNPLACED + "after folding"),
    ("CPCA", None, (3.3, 12.4, 182.3), _UNPLACED + "and 0.1 M, 0.4 G more"),
    ("SimAM", None, (3.2, 12.0, 187.1), _UNPLACED + "after folding"),
    ("EMA", {}, (2.5, 10.3, 189.0), "after folding"),
)
_HEADS = (
    ("LADH", {"head": "ladh"}, (2.5, 9.9, 196.6), "after folding; 0.8 G fewer, unresolved"),
    ("LQE", {"head": "lqe"}, (3.2, 12.0, 165.3), "after folding"),
    ("EfficientHead", {"head": "efficient"}, (4.0, 11.9, 172.9), "after folding"),
    ("LMSH", {"lmsh": True}, (2.5, 10.0, 195.3), "after folding"),
)


def rows() -> tuple[Row, ...]:
    """Every row in the paper's order; `count` and `cpu_ms` take its options."""
    ablation = [(name, _switched(bits), *rest) for name, bits, *rest in _ABLATION]
    third = [
        Row(
            table="III",
            name=name,
            options=options,
            paper=dict(zip(_WORTH, worth, strict=True)),
            note="of PELD's test pictures, which are not public",
        )
        for name, options, worth, _, _ in ablation
    ]
    sized = [("V", name, options, size, note) for name, options, _, size, note in ablation]
    for name, change, size, note in _ATTENTION:
        options = None if change is None else {"c2f_pro": True, **_PEERS, **change}
        sized.append(("VI", name, options, size, note))
    for name, change, size, note in _HEADS:
        sized.append(("VIII", name, {"c2f_pro": False, **_PEERS, **change}, size, note))
    return (
        *third,
        *(
            Row(
                table=table,
                name=name,
                options=options,
                paper=dict(zip(_SIZE, size, strict=True)),
                note=note,
            )
            for table, name, options, size, note in sized
        ),
    )


def _switched(bits: str) -> dict[str, object]:
    return {name: bit == "1" for name, bit in zip(SWITCHES, bits, strict=True)}


def count(options: dict[str, object], size_px: int = 640) -> Count:
    """Builds a network with four classes and counts it.

    Args:
        options: of `LMSFA`.
        size_px: side of the square input; the paper's figures are at 640.
    """
    with torch.device("meta"):  # shapes are all that counts
        network = LMSFA(num_classes=4, **options)  # type: ignore[arg-type]
        fused = network.fuse()
    return Count(
        parameters=sum(p.numel() for p in network.parameters()),
        fused_parameters=sum(p.numel() for p in fused.parameters()),
        gflops=count_flops(network, size_px, size_px, "paper") / 1e9,
        fused_gflops=count_flops(fused, size_px, size_px, "paper") / 1e9,
        true_gflops=count_flops(fused, size_px, size_px, "layers") / 1e9,
    )


@torch.inference_mode()
def cpu_ms(options: dict[str, object], size_px: int = 640, passes: int = 5) -> float:
    """Median CPU time of one folded forward pass in float32, all threads together, in ms."""
    network = LMSFA(num_classes=4, **options).fuse()  # type: ignore[arg-type]
    network.to(memory_format=torch.channels_last)
    image = torch.rand(1, 3, size_px, size_px).contiguous(memory_format=torch.channels_last)
    spent = []
    for _ in range(passes + 1):
        start = process_time()
        network(image)
        spent.append((process_time() - start) * 1e3)
    return median(spent[1:])


def layer_table(num_classes: int = 4) -> tuple[tuple[str, int], ...]:
    """Name and parameters of every part of LMSF-A before folding, in order of definition."""
    network = LMSFA(num_classes=num_classes)
    return tuple((n, sum(p.numel() for p in m.parameters())) for n, m in network.named_children())
