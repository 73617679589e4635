"""M3ViT-tiny as Edge-MoE runs it, recorded as a trace (needs the ``torch`` extra).

A vision transformer of 12 layers, 192 wide, 3 heads, over 129 tokens of a 128 x 256 image: a
dense MLP of 768 in even layers, 2 of 16 experts of 384 in odd ones.  Tokens are sorted by expert,
as the expert queues of the design do; routing is an input, spread evenly over the experts.

Source: M3ViT (Liang et al., NeurIPS 2022), sizes from ``include/model.hpp`` of sharc-lab/Edge-MoE.

    python workloads/m3vit.py        # writes traces/m3vit-tiny.prefill.trace
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from simulator.trace.export.user import export_module
from simulator.trace.store import save_trace

FOLDER = Path(__file__).parent / "traces"
HEIGHT, WIDTH, PATCH = 128, 256, 16
TOKENS = HEIGHT // PATCH * (WIDTH // PATCH) + 1
LAYERS, DIM, HEADS, HIDDEN = 12, 192, 3, 768
EXPERTS, CHOSEN, EXPERT_HIDDEN = 16, 2, 384


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(DIM, DIM) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            one(x).view(1, TOKENS, HEADS, DIM // HEADS).transpose(1, 2)
            for one in (self.q, self.k, self.v)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).reshape(1, TOKENS, DIM))


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(DIM, HIDDEN), nn.Linear(HIDDEN, DIM)

    def forward(self, x: Tensor, order: Tensor, ends: Tensor) -> Tensor:
        return self.second(functional.gelu(self.first(x)))


class Experts(nn.Module):
    """``order`` names the token of each row of the experts' queues, ``ends`` the queues' ends."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(DIM, EXPERTS, bias=False)
        self.first = nn.Parameter(torch.empty(EXPERTS, DIM, EXPERT_HIDDEN))
        self.second = nn.Parameter(torch.empty(EXPERTS, EXPERT_HIDDEN, DIM))

    def forward(self, x: Tensor, order: Tensor, ends: Tensor) -> Tensor:
        tokens = x.view(TOKENS, DIM)
        scores = functional.softmax(self.gate(tokens), dim=-1).topk(CHOSEN).values
        queued = tokens.index_select(0, order)
        hidden = functional.gelu(torch._grouped_mm(queued, self.first, ends))
        out = torch._grouped_mm(hidden, self.second, ends) * scores.reshape(-1, 1)
        return torch.zeros_like(tokens).index_add(0, order, out).view(1, TOKENS, DIM)


class Block(nn.Module):
    def __init__(self, layer: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
        self.attn = Attention()
        self.mlp = Experts() if layer % 2 else Mlp()

    def forward(self, x: Tensor, order: Tensor, ends: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x), order, ends)


class M3ViT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, DIM, PATCH, PATCH)
        self.token = nn.Parameter(torch.empty(1, 1, DIM))
        self.positions = nn.Parameter(torch.empty(1, TOKENS, DIM))
        self.blocks = nn.ModuleList(Block(layer) for layer in range(LAYERS))

    def forward(self, image: Tensor, order: Tensor, ends: Tensor) -> Tensor:
        patches = self.patches(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.token, patches], dim=1) + self.positions
        for block in self.blocks:
            x = block(x, order, ends)
        return x


def main() -> None:
    rows = TOKENS * CHOSEN
    order = torch.arange(rows) * CHOSEN % TOKENS
    ends = torch.tensor([rows * (e + 1) // EXPERTS for e in range(EXPERTS)], dtype=torch.int32)
    model = M3ViT().to(torch.bfloat16).eval()
    image = torch.empty(1, 3, HEIGHT, WIDTH, dtype=torch.bfloat16, device="meta")
    trace = export_module(model, (image, order, ends), name="m3vit-tiny", phase="prefill")
    file = save_trace(trace, FOLDER / "m3vit-tiny.prefill.trace")
    print(f"{file.name}: written")


if __name__ == "__main__":
    main()
