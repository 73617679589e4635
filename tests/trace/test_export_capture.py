"""What capturing must not get wrong, each on the smallest module that shows it."""

from functools import partial

import pytest

from simulator.errors import TraceError
from simulator.trace.lowering import lower_all
from simulator.trace.parametric import bind, fit_exports

torch = pytest.importorskip("torch")

from simulator.trace.export import export_module  # noqa: E402
from simulator.trace.export.guesses import ITEM_TRUE, ITEM_ZERO, MASK_ALL, NONZERO_ALL  # noqa: E402

nn = torch.nn
attend = nn.functional.scaled_dot_product_attention


class Lambda(nn.Module):
    """A module made of a function, with one parameter that it may use."""

    def __init__(self, function):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8, 8))
        self.function = function

    def forward(self, *inputs):
        return self.function(self.weight, *inputs)


def exported(function, *inputs, **options):
    return export_module(Lambda(function), inputs, **options)


def names(trace):
    return [operator.name.removeprefix("aten.") for operator in trace.operators]


def heads(count, length, batch=2, width=16):
    return torch.empty(batch, count, length, width, dtype=torch.bfloat16)


# -- attention -----------------------------------------------------------------------


def test_attention_stays_one_operator_with_its_flags():
    trace = exported(
        lambda w, q, k, v: attend(q, k, v, is_causal=True, scale=0.5), *[heads(4, 32)] * 3
    )
    assert names(trace) == ["scaled_dot_product_attention.default"]
    kwargs = trace.operators[0].kwargs
    assert kwargs == {"is_causal": True, "scale": 0.5, "enable_gqa": False}


def test_causal_attention_counts_half_the_square():
    inputs = [heads(4, 64)] * 3
    causal, full = (
        lower_all(exported(lambda w, q, k, v, c=c: attend(q, k, v, is_causal=c), *inputs))[0]
        for c in (True, False)
    )
    assert full.operations["matrix"] == 4 * 2 * 4 * 64 * 64 * 16
    assert causal.operations["matrix"] == full.operations["matrix"] * 65 / 128


def test_grouped_queries_do_not_repeat_keys():
    trace = exported(
        lambda w, q, k, v: attend(q, k, v, enable_gqa=True), heads(8, 4), heads(2, 32), heads(2, 32)
    )
    (work,) = lower_all(trace)
    assert (work.heads, work.kv_heads) == (8, 2)
    assert work.reads[1].bytes == 2 * 2 * 32 * 16 * 2


def test_the_transposition_after_attention_is_free():
    trace = exported(
        lambda w, q, k, v: attend(q, k, v).transpose(1, 2).reshape(2, 32, 64), *[heads(4, 32)] * 3
    )
    assert [work.kind for work in lower_all(trace)] == ["attention", "view", "view"]


def test_a_mask_is_an_input():
    mask = torch.ones(32, 32, dtype=torch.bool)
    trace = exported(lambda w, q, k, v, m: attend(q, k, v, attn_mask=m), *[heads(4, 32)] * 3, mask)
    assert trace.tensors[trace.operators[0].inputs[3]].shape == (32, 32)


def test_attention_gradients_are_one_operator():
    inputs = [heads(4, 32).requires_grad_() for _ in range(3)]
    trace = exported(lambda w, q, k, v: attend(q, k, v, is_causal=True), *inputs, backward=True)
    (gradient,) = [o for o in trace.operators if "attention_backward" in o.name]
    assert gradient.name == "aten.scaled_dot_product_attention_backward.default"
    assert (gradient.phase, gradient.kwargs["is_causal"]) == ("backward", True)
    assert not {"aten.bmm.default", "aten._softmax.default"} & {o.name for o in trace.operators}
    shapes = [trace.tensors[id].shape for id in gradient.outputs]
    assert shapes == [(2, 4, 32, 16)] * 3


def test_attention_inside_pytorchs_own_layers_stays_whole():
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
    for module in (layer.eval(), layer.train()):
        trace = export_module(module, torch.ones(2, 7, 32), backward=module.training)
        kinds = [work.kind for work in lower_all(trace)]
        assert kinds.count("attention") == (2 if module.training else 1)
        assert "bmm.default" not in names(trace)


def test_attention_without_batch_or_heads():
    flat = torch.empty(5, 16)
    trace = exported(lambda w, q, k, v: attend(q, k, v), flat, flat, flat)
    assert trace.tensors[trace.operators[0].outputs[0]].shape == (5, 16)


# -- values that are not there -------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "guess"),
    [
        (lambda w, x: x + 1 if (x > 0).any() else x - 1, ITEM_TRUE),
        (lambda w, x: x * x.sum().item(), ITEM_ZERO),
        (lambda w, x: x[x.argmax().item()], ITEM_ZERO),
        (lambda w, x: torch.nonzero(x), NONZERO_ALL),
        (lambda w, x: x[x > 0], MASK_ALL),
        (lambda w, x: torch.masked_select(x, x > 0), MASK_ALL),
    ],
)
def test_guesses_are_taken_and_told(function, guess):
    trace = exported(function, torch.ones(8))
    assert [o.guess for o in trace.operators if o.guess] == [guess]
    assert trace.header.guesses == (f"{guess} (1x)",)


def test_guesses_are_counted():
    trace = exported(lambda w, x: [x.sum().item() for _ in range(3)] and x + 1, torch.ones(8))
    assert trace.header.guesses == (f"{ITEM_ZERO} (3x)",)


def test_nothing_is_guessed_without_need():
    assert exported(lambda w, x: x @ w, torch.ones(2, 8)).header.guesses == ()


def test_an_operator_without_shape_is_an_error_that_names_it():
    with pytest.raises(TraceError, match=r"aten\._unique2.*fixed") as error:
        exported(lambda w, x: torch.unique(x), torch.ones(8))
    assert "\n" not in str(error.value)


# -- storages, modules, roles --------------------------------------------------------


def test_freed_storages_are_not_reused():
    """Temporaries die while the trace goes on; their addresses must not come back."""

    def chain(weight, x):
        for _ in range(50):
            x = (x + 1) * 2
        return x

    trace = exported(chain, torch.ones(4))
    written = [trace.tensors[o.outputs[0]].storage for o in trace.operators]
    assert len(set(written)) == 100


def test_views_share_their_storage_and_in_place_operators_their_tensor():
    trace = exported(lambda w, x: x.clone().view(2, 4).t().add_(1), torch.ones(8))
    storages = {trace.tensors[o.outputs[0]].storage for o in trace.operators}
    assert len(storages) == 1
    assert trace.operators[-1].inputs == trace.operators[-1].outputs


def test_in_place_lists_name_what_they_write():
    def update(weight, x):
        torch._foreach_add_([x, weight], 1.0)
        return x

    with torch.no_grad():
        trace = exported(update, torch.ones(8, 8))
    assert len(trace.operators[0].outputs) == 2


def test_modules_are_named_forward_and_backward():
    model = nn.Sequential(nn.Linear(8, 8), nn.Sequential(nn.GELU(), nn.Linear(8, 4)))
    trace = export_module(model, torch.ones(3, 8), optimizer=True)
    by_phase = {}
    for operator in trace.operators:
        by_phase.setdefault(operator.phase, []).append(operator.module)
    assert list(dict.fromkeys(by_phase["forward"])) == ["0", "1.0", "1.1"]
    assert list(dict.fromkeys(by_phase["backward"])) == ["1.1", "1.0", "0"]
    assert set(by_phase["optimizer"]) == {"optimizer"}


def test_attention_is_named_backward_by_its_own_module():
    class Attention(nn.Module):
        def forward(self, q, k, v):
            return attend(q, k, v), nn.functional.scaled_dot_product_attention(q, k, v)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = Attention()

        def forward(self, *inputs):
            first, second = self.attention(*inputs)
            return first.flatten() + second.flatten()

    inputs = [heads(4, 32).requires_grad_() for _ in range(3)]
    trace = export_module(Model(), inputs, backward=True)
    modules = [o.module for o in trace.operators if "attention_backward" in o.name]
    assert modules == ["attention", "attention"]


def test_a_failing_module_leaves_no_hooks_behind():
    hooks = torch.nn.modules.module._global_forward_hooks
    before = len(hooks)
    with pytest.raises(TraceError):
        exported(lambda w, x: x @ x, torch.ones(2, 8))
    assert len(hooks) == before
    assert nn.functional.scaled_dot_product_attention is attend


def test_roles():
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8)).eval()
    trace = export_module(model, torch.ones(3, 8), optimizer=True)
    roles = {}
    for tensor in trace.tensors.values():
        roles.setdefault(tensor.role, set()).add(tensor.name)
    assert roles["weight"] >= {"0.weight", "0.bias", "1.running_mean"}
    assert roles["gradient"] == {"0.weight.grad", "0.bias.grad", "1.weight.grad", "1.bias.grad"}
    assert "0.weight.exp_avg_sq" in roles["optimizer_state"]
    assert roles["input"] == {"input.0"}
    assert roles["activation"] == {""}


def test_the_optimizer_reads_no_scalars():
    """A step counter on the device would be read once per parameter."""
    model = nn.Sequential(*[nn.Linear(8, 8) for _ in range(5)])
    trace = export_module(model, torch.ones(3, 8), optimizer=True)
    steps = [o.name for o in trace.operators if o.phase == "optimizer"]
    assert all(name.startswith("aten._foreach") for name in steps)
    assert trace.header.guesses == ()


def test_each_weight_product_has_two_gradients():
    model = nn.Sequential(nn.Linear(8, 16, bias=False), nn.Linear(16, 4, bias=False))
    trace = export_module(model, torch.ones(3, 8, requires_grad=True), backward=True)
    operations = {"forward": 0, "backward": 0}
    for operator, work in zip(trace.operators, lower_all(trace), strict=True):
        operations[operator.phase] += work.operations.get("matrix", 0)
    assert operations["forward"] == 2 * 3 * (8 * 16 + 16 * 4)
    assert operations["backward"] == 2 * operations["forward"]


# -- user modules --------------------------------------------------------------------


def test_the_module_is_not_touched():
    model = nn.Sequential(nn.Linear(8, 4), nn.Dropout(0.5))
    before = {name: (id(p), p.clone()) for name, p in model.named_parameters()}
    export_module(model, torch.ones(3, 8), optimizer=True)
    for name, parameter in model.named_parameters():
        assert id(parameter) == before[name][0]
        assert torch.equal(parameter, before[name][1])
        assert parameter.grad is None
        assert parameter.device.type == "cpu"
    assert model.training


def test_integer_inputs_keep_their_values():
    tokens = torch.tensor([[3, 1, 2]])
    trace = export_module(nn.Embedding(10, 4), tokens)
    table, index = (trace.tensors[id] for id in trace.operators[0].inputs)
    assert table.name == "weight"
    assert trace.arrays[index.data].ravel().tolist() == [3, 1, 2]


def test_integers_are_computed_for_real():
    """Where addresses derive from integers alone, nothing needs to be guessed."""

    def pick(weight, tokens):
        return weight[tokens[tokens > 4] - 3] if (tokens > 4).any() else weight

    trace = exported(pick, torch.tensor([1, 5, 7, 2]))
    gather = trace.operators[-1]
    assert trace.header.guesses == ()
    assert trace.arrays[trace.tensors[gather.inputs[1]].data].tolist() == [2, 4]


def test_named_and_nested_inputs():
    class Two(nn.Module):
        def forward(self, first, *, pair):
            return first + pair[0] * pair[1]

    x = torch.ones(4)
    trace = export_module(Two(), {"first": x, "pair": (x, 2.0)})
    assert names(trace) == ["mul.Tensor", "add.Tensor"]
    assert {t.name for t in trace.tensors.values()} >= {"first", "pair.0"}


def test_the_same_module_gives_the_same_trace():
    model = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).train()
    traces = [export_module(model, torch.ones(2, 5, 16), optimizer=True) for _ in range(2)]
    assert traces[0].operators == traces[1].operators
    assert traces[0].tensors == traces[1].tensors
    assert traces[0].header == traces[1].header


def test_a_module_of_ones_own_for_all_sizes():
    model = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True).eval()

    def export(batch, length):
        sizes = {"batch": batch, "length": length}
        return export_module(model, torch.empty(batch, length, 32), sizes=sizes)

    fitted = fit_exports(export, {"batch": (3, 5), "length": (37, 53)}, {"batch": 7, "length": 101})
    assert fitted.header.parametric
    bound, fresh = bind(fitted, {"batch": 2, "length": 9}), export(2, 9)
    assert bound.operators == fresh.operators
    assert bound.tensors == fresh.tensors


def test_recorded_values_are_not_parametric():
    def export(batch, device="cpu"):
        tokens = torch.zeros(batch, 4, dtype=torch.int64, device=device)
        return export_module(nn.Embedding(10, 4), tokens, sizes={"batch": batch})

    with pytest.raises(TraceError, match=r"recorded values.*on the meta device"):
        fit_exports(export, {"batch": (3, 5)}, {"batch": 7})
    without_values = partial(export, device="meta")
    assert fit_exports(without_values, {"batch": (3, 5)}, {"batch": 7}).header.parametric


def test_precision_and_layout_of_inputs_are_kept():
    x = torch.ones(8, 4, dtype=torch.float16).t()
    trace = exported(lambda w, x: x + 1, x)
    tensor = trace.tensors[trace.operators[0].inputs[0]]
    assert (tensor.dtype, tensor.shape, tensor.strides) == ("float16", (4, 8), (1, 4))


def test_constants_outside_buffers_have_a_shape_like_any_tensor():
    constant = torch.ones(2, 8)
    trace = exported(lambda w, x: x + constant, torch.ones(2, 8))
    assert [trace.tensors[id].shape for id in trace.operators[0].inputs] == [(2, 8), (2, 8)]


@pytest.mark.parametrize("function", [lambda w, x: x.tolist(), lambda w, x: x @ x])
def test_what_does_not_run_is_one_line_with_a_remedy(function):
    with pytest.raises(TraceError, match=r"Lambda does not run without values.*buffers") as error:
        exported(function, torch.ones(2, 8))
    assert "\n" not in str(error.value)


def test_backward_needs_a_parameter():
    model = nn.Linear(8, 8).requires_grad_(False)
    with pytest.raises(TraceError, match="unfreeze"):
        export_module(model, torch.ones(2, 8), backward=True)


def test_phase_is_checked_by_the_store(tmp_path):
    from simulator.trace.store import read_trace, save_trace

    trace = export_module(nn.Linear(8, 8), torch.ones(2, 8))
    path = save_trace(trace, tmp_path / "linear.jsonl.gz")
    assert read_trace(path) == trace
