"""Fused attention: which kernels a library runs, and what their accesses have in common.

Few queries per key-value head take the decode kernel (``attention_decode.py``): the context is
split over blocks, grouped heads share a block.  Else tiles of queries walk the keys
(``attention_forward.py``), and backward tiles of keys walk the queries
(``attention_backward.py``).  ``attention_instruction`` of the description says in which class of
matrix instruction the library's kernels are written, and with it how softmax and products meet.
"""

from __future__ import annotations

from collections.abc import Sequence

from simulator.engine.platform import Addresses
from simulator.engine.program import Kernel
from simulator.gpu.mapping.attention_backward import backward
from simulator.gpu.mapping.attention_decode import decode
from simulator.gpu.mapping.attention_forward import forward
from simulator.gpu.mapping.attention_split import MIN_KEYS
from simulator.gpu.spec import GpuSpec
from simulator.trace.work import Attention

DECODE_QUERIES = 128
"""Query rows of one key-value head that a decode block holds."""


def attention(spec: GpuSpec, work: Attention, address: Addresses) -> Sequence[Kernel]:
    """Forward or backward; decode kernels when there are few queries per KV head."""
    if not work.q_len or not work.kv_len or not work.batch:
        return ()
    if work.backward:
        return backward(spec, work, address)
    return (decode if _packs(spec, work) else forward)(spec, work, address)


def _packs(spec: GpuSpec, work: Attention) -> bool:
    """Whether the queries of a group go into one block and the context may be split.

    One query per head is a decode call; a causal one of a single query is a prompt of one token,
    for which FlashAttention-2 alone takes its decode kernel.  Few queries on a long context are
    split as well, for else SMs would go without a block.
    """
    if work.q_len * (work.heads // work.kv_heads) > DECODE_QUERIES:
        return False
    single = work.q_len == 1
    if spec.chip.sm.attention_instruction != "mma.sync":
        single = single and not work.causal
    few = work.batch * work.kv_heads < spec.chip.sms
    return single or (few and work.kv_len >= 2 * MIN_KEYS)
