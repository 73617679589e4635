"""The models that can be exported by name: configurations, in code, with sources.

Nothing is downloaded: each entry names a transformers configuration class, the
values that define the model, the paper they come from, and the model class that
runs in each phase.  Dropout is zero everywhere, so that training runs the
operators that a run at inference precision would, and nothing random.

GPT-3 sizes follow table 2.1 of the paper with dense attention in every layer
(the paper alternates dense and banded layers).  Its XL row lists 24 heads of
128 for a width of 2048, which does not multiply out; 16 heads of 128 are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from simulator.errors import TraceError, suggest

LONGEST_CONTEXT = 131072
"""Range of rotary models, whose code has no limit of its own."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """How to build one model."""

    family: str
    """``decoder`` (prefill, decode, train), ``encoder`` or ``vision`` (prefill, train)."""
    configuration: str
    classes: Mapping[str, str]
    """Model class of transformers by phase; ``*`` for all others."""
    source: str
    positions: int = LONGEST_CONTEXT
    values: Mapping[str, Any] = field(default_factory=dict)
    experts: int = 0
    experts_per_token: int = 0

    @property
    def phases(self) -> tuple[str, ...]:
        return ("prefill", "decode", "train") if self.family == "decoder" else ("prefill", "train")

    def model_class(self, phase: str) -> str:
        return self.classes.get(phase, self.classes["*"])


def _gpt2(
    layers: int, width: int, heads: int, positions: int = 1024, source: str = ""
) -> ModelEntry:
    return ModelEntry(
        family="decoder",
        configuration="GPT2Config",
        classes={"*": "GPT2LMHeadModel"},
        source=source
        or "Radford et al., Language Models are Unsupervised Multitask Learners, 2019",
        positions=positions,
        values={
            "n_layer": layers,
            "n_embd": width,
            "n_head": heads,
            "n_positions": positions,
            "vocab_size": 50257,
            "resid_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "attn_pdrop": 0.0,
        },
    )


def _gpt3(layers: int, width: int, heads: int) -> ModelEntry:
    source = "Brown et al., Language Models are Few-Shot Learners, 2020, table 2.1"
    return _gpt2(layers, width, heads, positions=2048, source=source)


def _llama(
    layers: int,
    width: int,
    hidden: int,
    heads: int,
    kv_heads: int,
    *,
    vocabulary: int = 32000,
    positions: int = 4096,
    rope_theta: float = 10000.0,
    source: str = "Touvron et al., Llama 2: Open Foundation and Fine-Tuned Chat Models, 2023",
) -> ModelEntry:
    return ModelEntry(
        family="decoder",
        configuration="LlamaConfig",
        classes={"*": "LlamaForCausalLM"},
        source=source,
        values={
            "num_hidden_layers": layers,
            "hidden_size": width,
            "intermediate_size": hidden,
            "num_attention_heads": heads,
            "num_key_value_heads": kv_heads,
            "vocab_size": vocabulary,
            "max_position_embeddings": positions,
            "rms_norm_eps": 1e-5,
            "rope_parameters": {"rope_type": "default", "rope_theta": rope_theta},
        },
    )


def _llama3(layers: int, width: int, hidden: int, heads: int, kv_heads: int) -> ModelEntry:
    return _llama(
        layers,
        width,
        hidden,
        heads,
        kv_heads,
        vocabulary=128256,
        positions=8192,
        rope_theta=500000.0,
        source="Grattafiori et al., The Llama 3 Herd of Models, 2024, table 3",
    )


def _bert(layers: int, width: int, heads: int) -> ModelEntry:
    return ModelEntry(
        family="encoder",
        configuration="BertConfig",
        classes={"*": "BertModel", "train": "BertForMaskedLM"},
        source="Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers, 2019",
        positions=512,
        values={
            "num_hidden_layers": layers,
            "hidden_size": width,
            "num_attention_heads": heads,
            "intermediate_size": 4 * width,
            "vocab_size": 30522,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        },
    )


MODELS: Mapping[str, ModelEntry] = MappingProxyType(
    {
        "gpt2": _gpt2(12, 768, 12),
        "gpt2-medium": _gpt2(24, 1024, 16),
        "gpt2-large": _gpt2(36, 1280, 20),
        "gpt2-xl": _gpt2(48, 1600, 25),
        "gpt3-125m": _gpt3(12, 768, 12),
        "gpt3-350m": _gpt3(24, 1024, 16),
        "gpt3-760m": _gpt3(24, 1536, 16),
        "gpt3-1.3b": _gpt3(24, 2048, 16),
        "llama2-7b": _llama(32, 4096, 11008, 32, 32),
        "llama2-13b": _llama(40, 5120, 13824, 40, 40),
        "llama2-70b": _llama(80, 8192, 28672, 64, 8),
        "llama3-8b": _llama3(32, 4096, 14336, 32, 8),
        "llama3-70b": _llama3(80, 8192, 28672, 64, 8),
        "mixtral-8x7b": ModelEntry(
            family="decoder",
            configuration="MixtralConfig",
            classes={"*": "MixtralForCausalLM"},
            source="Jiang et al., Mixtral of Experts, 2024, table 1",
            values={
                "num_hidden_layers": 32,
                "hidden_size": 4096,
                "intermediate_size": 14336,
                "num_attention_heads": 32,
                "num_key_value_heads": 8,
                "vocab_size": 32000,
                "max_position_embeddings": 32768,
                "num_local_experts": 8,
                "num_experts_per_tok": 2,
                "sliding_window": None,
                "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0},
            },
            experts=8,
            experts_per_token=2,
        ),
        "bert-base": _bert(12, 768, 12),
        "bert-large": _bert(24, 1024, 16),
        "vit-b16": ModelEntry(
            family="vision",
            configuration="ViTConfig",
            classes={"*": "ViTForImageClassification"},
            source="Dosovitskiy et al., An Image is Worth 16x16 Words, 2021, table 1",
            values={
                "num_hidden_layers": 12,
                "hidden_size": 768,
                "num_attention_heads": 12,
                "intermediate_size": 3072,
                "image_size": 224,
                "patch_size": 16,
                "num_labels": 1000,
            },
        ),
    }
)


def model_entry(name: str) -> ModelEntry:
    """The entry of a model, or a one-line error that names the nearest."""
    if name not in MODELS:
        raise TraceError(f"unknown model '{name}'", remedy=suggest(name, MODELS))
    return MODELS[name]


def build(name: str, phase: str) -> Any:
    """The model on the meta device, in bfloat16."""
    import torch
    import transformers

    entry = model_entry(name)
    configuration = getattr(transformers, entry.configuration)(**entry.values)
    options = {"attn_implementation": "sdpa", "dtype": torch.bfloat16}
    if entry.experts:
        options["experts_implementation"] = "grouped_mm"
    with torch.device("meta"):
        model = getattr(transformers, entry.model_class(phase))._from_config(
            configuration, **options
        )
    if entry.family == "decoder":
        # transformers derives it from the class name, which fails for GPT-2.
        model.loss_type = "ForCausalLM"
    return model.train(phase == "train")
