"""Operator traces from real PyTorch code (needs the ``torch`` extra).

:func:`export_model` runs a named transformers model, :func:`export_module` any
``nn.Module``.  Nothing here imports torch before it is called.
"""

from __future__ import annotations

from simulator.trace.export.models import MODELS
from simulator.trace.export.named import checked_sizes, export_model
from simulator.trace.export.user import export_module

__all__ = ["MODELS", "checked_sizes", "export_model", "export_module"]
