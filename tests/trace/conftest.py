"""Small traces by hand, and traces compared by what they mean."""

import sys

import pytest

from simulator.trace.schema import Header, Operator, Tensor, TensorRef, Trace


def hand_made():
    """One product and one sum: ``y = x @ w + x0``, with an option and an infinity."""
    header = Header(name="tiny", model="tiny", phase="prefill", sizes={"batch": 2})
    tensors = {
        0: Tensor(0, 0, 0, (2, 8), (8, 1), "bfloat16", role="input", name="x"),
        1: Tensor(1, 1, 0, (8, 4), (4, 1), "bfloat16", role="weight", name="w"),
        2: Tensor(2, 2, 0, (2, 4), (4, 1), "bfloat16"),
        3: Tensor(3, 0, 8, (1, 4), (8, 1), "bfloat16", role="input"),
        4: Tensor(4, 3, 0, (2, 4), (4, 1), "bfloat16"),
    }
    operators = [
        Operator(0, "aten.mm.default", (0, 1), (2,), (TensorRef(0), TensorRef(1)), module="fc"),
        Operator(
            1,
            "aten.add.Tensor",
            (2, 3),
            (4,),
            (TensorRef(2), TensorRef(3)),
            {"alpha": 1.0, "limit": float("-inf"), "dims": [1, -1], "note": "batch"},
            module="sum",
            guess="a guess",
        ),
    ]
    return Trace(header, tensors, operators)


def window(tensor):
    """A tensor without its id; the stride of a dimension of one element means nothing."""
    strides = tuple(0 if d == 1 else s for d, s in zip(tensor.shape, tensor.strides, strict=True))
    return (tensor.storage, tensor.offset, tensor.shape, strides, tensor.dtype, tensor.role)


def meaning(trace):
    """Everything of a trace that a run depends on, tensors by window."""
    windows = {id: window(tensor) for id, tensor in trace.tensors.items()}

    def plain(value):
        if isinstance(value, TensorRef):
            return windows[value.id]
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return value

    return [
        (
            operator.name,
            operator.module,
            operator.phase,
            [windows[id] for id in operator.inputs],
            [windows[id] for id in operator.outputs],
            plain(operator.args),
            {key: plain(value) for key, value in operator.kwargs.items()},
        )
        for operator in trace.operators
    ]


@pytest.fixture
def tiny():
    return hand_made()


@pytest.fixture
def same_meaning():
    """Assert that two traces mean the same, naming the first operator that differs."""

    def check(one, two):
        for index, (a, b) in enumerate(zip(meaning(one), meaning(two), strict=False)):
            assert a == b, f"operator {index}"
        assert len(one.operators) == len(two.operators)

    return check


# -- closed forms, from the models' papers -------------------------------------------

GPT = {
    "gpt2": (12, 768, 12, 50257),
    "gpt2-medium": (24, 1024, 16, 50257),
    "gpt2-large": (36, 1280, 20, 50257),
    "gpt2-xl": (48, 1600, 25, 50257),
    "gpt3-125m": (12, 768, 12, 50257),
    "gpt3-350m": (24, 1024, 16, 50257),
    "gpt3-760m": (24, 1536, 16, 50257),
    "gpt3-1.3b": (24, 2048, 16, 50257),
}
LLAMA = {
    "llama2-7b": (32, 4096, 11008, 32, 32, 32000),
    "llama2-13b": (40, 5120, 13824, 40, 40, 32000),
    "llama2-70b": (80, 8192, 28672, 64, 8, 32000),
    "llama3-8b": (32, 4096, 14336, 32, 8, 128256),
    "llama3-70b": (80, 8192, 28672, 64, 8, 128256),
    "mixtral-8x7b": (32, 4096, 14336, 32, 8, 32000),
}
BERT = {"bert-base": (12, 768, 30522), "bert-large": (24, 1024, 30522)}
PARAMETERS = {
    "gpt2": 124e6,
    "gpt2-medium": 355e6,
    "gpt2-large": 774e6,
    "gpt2-xl": 1.558e9,
    "gpt3-125m": 125e6,
    "gpt3-350m": 356e6,
    "gpt3-760m": 760e6,
    "gpt3-1.3b": 1.316e9,
    "llama2-7b": 6.74e9,
    "llama2-13b": 13.0e9,
    "llama2-70b": 69.0e9,
    "llama3-8b": 8.03e9,
    "llama3-70b": 70.6e9,
    "mixtral-8x7b": 46.7e9,
    "bert-base": 110e6,
    "bert-large": 335e6,
    "vit-b16": 86.6e6,
}


def causal_pairs(queries, keys):
    """Pairs of a causal kernel, the last query aligned with the last key."""
    return queries * keys - queries * (queries - 1) // 2


def matrix_operations(name, phase, batch=1, prompt=1, context=0):
    """Operations of all matrix products; causal attention counts the pairs it visits.

    Training: each weight product once forward and twice backward, attention's
    two products become five.
    """
    tokens = batch * prompt
    queries, keys = (1, context + 1) if phase == "decode" else (prompt, prompt)
    pairs = batch * causal_pairs(queries, keys)
    outputs = tokens if phase == "train" else batch
    extra = 0
    if name in GPT:
        layers, width, heads, vocabulary = GPT[name]
        per_token, head, attention = 12 * width**2, width * vocabulary, width
    elif name in LLAMA:
        layers, width, hidden, heads, kv_heads, vocabulary = LLAMA[name]
        gated = 3 * width * hidden
        if name.startswith("mixtral"):
            gated = 2 * gated + 8 * width
        per_token = 2 * width**2 + 2 * width**2 * kv_heads // heads + gated
        head, attention = width * vocabulary, width
    elif name in BERT:
        layers, width, vocabulary = BERT[name]
        pairs, per_token, attention = batch * prompt**2, 12 * width**2, width
        # Training predicts every token; inference pools the first one.
        head = width**2 + (width * vocabulary if phase == "train" else 0)
    else:
        layers, width = 12, 768
        tokens, pairs, outputs = batch * 197, batch * 197**2, batch
        per_token, head, attention = 12 * width**2, width * 1000, width
        # Pixels need no gradient, the filters do.
        extra = 2 * batch * 196 * width * 768 * (2 if phase == "train" else 1)
    products = 2 * (layers * tokens * per_token + outputs * head)
    scores = 4 * layers * pairs * attention
    return (3 * products + 3.5 * scores if phase == "train" else products + scores) + extra


@pytest.fixture(scope="session")
def closed_form():
    return matrix_operations


@pytest.fixture(scope="session")
def parameters():
    return PARAMETERS.__getitem__


@pytest.fixture
def lines_run():
    """Counts the lines of Python that a call runs: what it costs, on any machine."""

    def count(call):
        lines = 0

        def tally(frame, event, argument):
            nonlocal lines
            lines += event == "line"
            return tally

        before = sys.gettrace()
        sys.settrace(tally)
        try:
            call()
        finally:
            sys.settrace(before)
        return lines

    return count
