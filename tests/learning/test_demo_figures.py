"""What the guide says of the demo networks that know the time, measured on held-out procedures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli.main import run


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_offline_demo_is_better_than_the_causal_and_foreseeing_better_than_the_baseline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first two of the guide's four procedures, drawn whole; the baseline is what can be had in
    use, the expected time by the phases that the causal demo names so far."""
    told, kept = {}, str(tmp_path / "features")
    for name in ("ms-tcn-demo", "supra-demo"):
        status = run(
            f"evaluate --model {name} --data phantom --videos 2 --features {kept} --json".split()
        )
        out = capsys.readouterr()
        assert status == 0, out.err
        told[name] = json.loads(out.out)
    offline, foreseeing = told["ms-tcn-demo"], told["supra-demo"]
    for figure in ("accuracy", "jaccard"):
        causal = (foreseeing["pooled"][figure], offline["encoder"]["so_far"]["pooled"][figure])
        assert offline["pooled"][figure] > max(causal)
    minutes = foreseeing["anticipation"]["minutes"]
    for horizon in ("2", "3", "5"):
        baseline = minutes["expected_of_recognised_cut"][horizon]["weighted"]
        assert minutes["model"][horizon]["weighted"] < baseline
