"""Works that ``exact`` plays quickly, in both fidelities, each on a cold machine."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

PLACES = np.random.default_rng(0).integers(0, 100_000, 20_000)


def works(lab: SimpleNamespace) -> dict[str, object]:
    return {
        "gemm": lab.gemm(1024, 1024, 1024),
        "deep gemm": lab.gemm(256, 256, 8192),
        "wide gemm": lab.gemm(2048, 4096, 256),
        "grouped gemm": lab.grouped((300, 0, 17, 195), 1024, 512),
        "one row": lab.gemm(1, 4096, 768),
        "decode": lab.attention(32, 2048),
        "prefill": lab.attention(16, 1024, q_len=1024),
        "causal": lab.attention(8, 1024, q_len=1024, causal=True),
        "elementwise": lab.elementwise(1 << 22),
        "copy": lab.elementwise(1 << 24),
        "norm": lab.rowwise(8192, 2048),
        "reduction": lab.reduction(8192, 2048),
        "gather": lab.gather(PLACES, 512, 100_000),
        "scatter": lab.scatter(PLACES, 512, 100_000),
    }


@pytest.mark.parametrize(
    "name",
    [
        "gemm", "deep gemm", "wide gemm", "grouped gemm", "one row", "decode", "prefill", "causal",
        "elementwise", "copy", "norm", "reduction", "gather", "scatter",
    ],
)  # fmt: skip
def test_fast_equals_exact(lab: SimpleNamespace, name: str) -> None:
    """To the femtosecond: these works are too short to leave anything out."""
    work = works(lab)[name]
    exact, fast = lab.play(work), lab.play(work, exact=False)
    assert exact.simulated_share == 1
    assert fast == exact


@pytest.mark.parametrize("causal", [False, True])
def test_steps_of_attention_are_left_out_and_time_stays(lab: SimpleNamespace, causal: bool) -> None:
    q_len, kv_len, heads = (2048, 2048, 16) if causal else (1, 3072, 108)
    work = lab.attention(heads, kv_len, q_len=q_len, causal=causal)
    exact, fast = lab.play(work), lab.play(work, exact=False)
    assert fast.seconds == pytest.approx(exact.seconds, rel=0.02)
