"""A key-value cache allocated once, to which new tokens are appended in place.

transformers' default cache concatenates the whole cache with each new token,
which no serving system does, and its static cache attends to the unused part
too.  This one copies the new tokens only and hands out a window of the tokens
present, so that a decode step reads ``context + 1`` keys and writes one.
"""

from __future__ import annotations

from functools import cache
from typing import Any


def preallocated_cache(config: Any, batch: int, capacity: int, filled: int, dtype: Any) -> Any:
    """A transformers ``Cache`` with room for ``capacity`` tokens, ``filled`` of them present."""
    from transformers.cache_utils import Cache

    layer = _layer_class()
    text = config.get_text_config()
    kv_heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    head_dim = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    shape = (batch, kv_heads, capacity, head_dim)
    return Cache(layers=[layer(shape, filled, dtype) for _ in range(text.num_hidden_layers)])


@cache
def _layer_class() -> Any:
    import torch
    from transformers.cache_utils import CacheLayerMixin

    class PreallocatedLayer(CacheLayerMixin):
        is_sliding = False

        def __init__(self, shape: tuple[int, int, int, int], filled: int, dtype: Any) -> None:
            super().__init__()
            self.keys = torch.empty(shape, dtype=dtype, device="meta")
            self.values = torch.empty(shape, dtype=dtype, device="meta")
            self.length = filled
            self.is_initialized = True

        def lazy_initialization(self, key_states: Any, value_states: Any) -> None:
            """Nothing to do: the cache is allocated when it is made."""

        def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> Any:
            start, end = self.length, self.length + key_states.shape[-2]
            self.keys[:, :, start:end].copy_(key_states)
            self.values[:, :, start:end].copy_(value_states)
            self.length = end
            return self.keys[:, :, :end], self.values[:, :, :end]

        def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
            return self.length + query_length, 0

        def get_seq_length(self) -> int:
            return self.length

        def get_max_length(self) -> int:
            return int(self.keys.shape[-2])

    return PreallocatedLayer
