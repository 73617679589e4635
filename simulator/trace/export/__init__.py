"""Operator traces from real PyTorch code (needs the ``torch`` extra).

:func:`export_model` runs a named transformers model, :func:`export_module` any
``nn.Module``.  Nothing here imports torch before it is called.
"""

from __future__ import annotations

from simulator.trace.export.language import DEFAULTS, export_model, ranges_of, sizes_of
from simulator.trace.export.models import MODELS

__all__ = ["DEFAULTS", "MODELS", "export_model", "ranges_of", "sizes_of"]
