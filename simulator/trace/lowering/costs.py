"""Arithmetic of elementwise operators: (vector, special) operations per element.

Vector operations are additions, multiplications, comparisons and selections (a
multiply-add counts two); special ones run on the special-function units, which
offer exp2, log2, sine, cosine, reciprocal and reciprocal square root.  The
counts are those of the formula beside each entry, evaluated directly; a device
that uses tables or polynomials prices them in its mapping.
"""

from __future__ import annotations

from typing import Final

from simulator.trace.lowering.names import words

Cost = tuple[int, int]

ONE: Final = words(
    "add sub rsub mul neg abs relu relu6 maximum minimum fmax fmin eq ne lt le gt ge "
    "logical_and logical_or logical_xor logical_not bitwise_and bitwise_or bitwise_xor "
    "bitwise_not bitwise_left_shift bitwise_right_shift __and__ __or__ __xor__ __lshift__ "
    "__rshift__ where masked_fill isnan isinf isfinite sign sgn floor ceil round trunc square "
    "threshold threshold_backward clamp_min clamp_max heaviside signbit positive conj_physical "
    "nan_to_num copysign"
)

EXP: Final[Cost] = (1, 1)  # exp2(x * log2 e)
DIVIDE: Final[Cost] = (1, 1)  # x * reciprocal(y)
SIGMOID: Final[Cost] = (3, 2)  # 1 / (1 + exp(-x)): negate-scale, add, scale; exp2, reciprocal
TANH: Final[Cost] = (4, 2)  # 1 - 2 / (1 + exp(2x)): scale, add, multiply-add; exp2, reciprocal
ERF: Final[Cost] = (13, 2)  # Abramowitz-Stegun 7.1.26: reciprocal, 5 multiply-adds, exp
GELU_TANH: Final[Cost] = (8 + TANH[0], TANH[1])  # x/2 (1 + tanh(c (x + a x^3)))
GELU_ERF: Final[Cost] = (4 + ERF[0], ERF[1])  # x/2 (1 + erf(x / sqrt 2))

ELEMENTWISE: Final[dict[str, Cost]] = {
    **dict.fromkeys(ONE, (1, 0)),
    # products and interpolations
    "addcmul": (3, 0),  # self + value * a * b
    "addcdiv": (3, 1),  # self + value * a / b
    "lerp": (3, 0),  # a + w (b - a)
    "clamp": (2, 0),
    "hardtanh": (2, 0),
    "hardtanh_backward": (3, 0),
    "leaky_relu": (2, 0),  # compare, scale
    "leaky_relu_backward": (2, 0),
    "isclose": (4, 0),
    # quotients, roots
    "div": DIVIDE,
    "true_divide": DIVIDE,
    "divide": DIVIDE,
    "floor_divide": (2, 1),
    "remainder": (4, 1),  # a - b floor(a / b)
    "fmod": (4, 1),
    "reciprocal": (0, 1),
    "sqrt": (1, 1),  # x * rsqrt(x)
    "rsqrt": (0, 1),
    # exponentials
    "exp": EXP,
    "exp2": (0, 1),
    "expm1": (2, 1),
    "log": (1, 1),  # log2(x) * ln 2
    "log2": (0, 1),
    "log10": (1, 1),
    "log1p": (2, 1),
    "pow": (1, 2),  # exp2(y log2 x); small integer exponents are recognised apart
    "logaddexp": (5, 2),
    # trigonometry: range reduction, then the unit
    "sin": (2, 1),
    "cos": (2, 1),
    "tan": (3, 3),
    "atan2": (12, 1),
    # activations
    "sigmoid": SIGMOID,
    "sigmoid_backward": (3, 0),  # g y (1 - y)
    "tanh": TANH,
    "tanh_backward": (3, 0),  # g (1 - y y)
    "silu": (SIGMOID[0] + 1, SIGMOID[1]),  # x sigmoid(x)
    "silu_backward": (SIGMOID[0] + 5, SIGMOID[1]),  # g s (1 + x (1 - s))
    "gelu": GELU_ERF,
    "gelu_backward": (GELU_ERF[0] + 7, GELU_ERF[1] + 1),  # g (cdf + x pdf)
    "erf": ERF,
    "softplus": (3, 2),  # log(1 + exp(x))
    "softplus_backward": (5, 2),
    "elu": (3, 1),
    "elu_backward": (4, 1),
    "hardswish": (5, 0),
    "hardswish_backward": (6, 0),
    "hardsigmoid": (4, 0),
    "mish": (SIGMOID[0] + TANH[0] + 3, 4),
    "prelu": (2, 0),
    "_prelu_kernel": (2, 0),
    "log_sigmoid_forward": (4, 2),
    # losses that keep the shape
    "mse_loss": (2, 0),
    "mse_loss_backward": (3, 0),
    "smooth_l1_loss": (5, 0),
    "binary_cross_entropy": (5, 2),
    "binary_cross_entropy_with_logits": (6, 2),
    "native_dropout_backward": (2, 0),
    "_masked_scale": (2, 0),
    # complex products, as rotary embeddings in complex form use them
    "polar": (4, 2),
}

FILLS: Final[dict[str, Cost]] = {
    **dict.fromkeys(
        words(
            "zeros ones full zeros_like ones_like full_like new_zeros new_ones new_full fill zero "
            "scalar_tensor _efficientzerotensor"
        ),
        (0, 0),
    ),
    "arange": (1, 0),
    "linspace": (2, 0),
    "eye": (1, 0),
    "tril_indices": (2, 0),
    "triu_indices": (2, 0),
    # Philox 4x32-10 makes four numbers in about 80 integer operations
    **dict.fromkeys(words("uniform bernoulli random rand rand_like randint"), (21, 0)),
    # Box-Muller on top: half a logarithm, root, sine each
    **dict.fromkeys(words("normal randn randn_like normal_functional"), (24, 2)),
    "exponential": (22, 1),
}
"""Operators that write without reading."""
