"""Rows that the README of the data calls bad, or their own columns, by rule and with its reason.

A rule is about what was recorded, never about what a simulation makes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulator.validate.rows import Row


@dataclass(frozen=True, slots=True)
class Rule:
    """Rows that are not compared, and why."""

    reason: str
    holds: Callable[[Row], bool]
    gpu: str | None = None
    """Whose records; None: of all."""


APART = 3.0
"""Times the quicker of two stacks that the slower one takes, from which on they cannot have run
kernels of one kind."""
SAME = 0.01
UNGROUPED = 64
WINDOW = 128
"""Keys that TensorRT-LLM's collector lets a query of a head of 64 see, sinks beside
(``trtllm/collect_attn.py``)."""


def mean_of_two_kernels(row: Row) -> bool:
    """Whether the time of an attention call is the mean of two stacks that far apart: a time that
    neither took, and that no kernel can take.  Of three stacks the median is one's own time."""
    low, high = row.lowest, row.highest
    if row.kind != "attention" or low is None or high is None or high < APART * low:
        return False
    return abs(row.seconds - (low + high) / 2) < SAME * row.seconds


def reads_once_per_query(row: Row) -> bool:
    """Whether a decode time of 64 or more query heads per KV head comes from one stack alone. Such
    rows take 23 to 116 times as long as DRAM does, about as long as the L2 would take to deliver
    the cache once per query head; where three stacks were measured, none does."""
    if row.file != "attention_decode.csv" or row.lowest is None or row.lowest != row.highest:
        return False
    return row.sizes["heads"] >= UNGROUPED * row.sizes["kv_heads"]


def sees_a_window(row: Row) -> bool:
    """Whether the time of a prompt is one in which queries saw :data:`WINDOW` keys, or half of it.
    On B200 the quickest of three stacks takes times that grow with the tokens, not with their
    square, beyond what the pipes allow for all keys; so do rows of one stack alone, and half of
    those of two. A median of three is another stack's."""
    low, high = row.lowest, row.highest
    if row.file != "attention_prefill.csv" or low is None or high is None:
        return False
    few = low == high or abs(row.seconds - (low + high) / 2) < SAME * row.seconds
    return few and row.sizes["head_dim"] == 64 and row.sizes["kv_len"] > WINDOW


RULES = (
    Rule(
        "faster than DRAM allows by a multiple, probably another shape (L40S decode, head_dim 128, "
        "64 heads per KV head)",
        lambda row: (
            row.file == "attention_decode.csv"
            and row.sizes["head_dim"] == 128
            and row.sizes["heads"] == 64 * row.sizes["kv_heads"]
        ),
        gpu="L40S",
    ),
    Rule(
        "probably another network than a gated one (MoE with topk 22 or inner size 2688, 1856)",
        lambda row: (
            row.kind == "moe"
            and (row.sizes["topk"] == 22 or row.sizes["inter_size"] in (2688, 1856))
        ),
    ),
    Rule(
        "mean of two software stacks whose kernels differ in kind, three times apart (one groups "
        "the queries of a key-value head, the other reads the cache once per query)",
        mean_of_two_kernels,
    ),
    Rule(
        "one software stack alone, which reads the cache once per query (decode, 64 or more query "
        "heads per KV head)",
        reads_once_per_query,
    ),
    Rule(
        "one of at most two software stacks lets a query see 128 keys (B200 prefill, head_dim 64)",
        sees_a_window,
        gpu="B200-SXM",
    ),
    Rule("broken records (L40S amax)", lambda row: row.op == "amax_scale", gpu="L40S"),
    Rule(
        "above DRAM bandwidth (TensorRT-LLM decode in power.csv)",
        lambda row: row.op == "attention_decode+power" and row.words["impl"].startswith("trtllm"),
    ),
    Rule(
        "a difference of two timings, whose watts belong to neither (amax in power.csv)",
        lambda row: row.op == "amax_scale+power",
    ),
)


def why_bad(row: Row) -> str | None:
    """The reason of the first rule that holds for a row."""
    own = (rule for rule in RULES if rule.gpu in (None, row.gpu))
    return next((rule.reason for rule in own if rule.holds(row)), None)
