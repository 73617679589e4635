"""Tokens per expert: whole tokens, the stated distribution, distinct experts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import OptionError
from simulator.trace.expressions import evaluate
from simulator.trace.routing import expert_shares, rows_expressions, rows_per_expert

policies = st.one_of(st.just("uniform"), st.floats(0, 10).map(lambda s: f"zipf:{s}"))


@given(policies, st.integers(1, 64), st.integers(1, 4), st.integers(0, 100_000))
def test_rows_add_up_and_experts_of_a_token_are_distinct(policy, experts, chosen, tokens):
    chosen = min(chosen, experts)
    rows = rows_per_expert(tokens * chosen, expert_shares(policy, experts, chosen))
    assert sum(rows) == tokens * chosen
    assert all(0 <= count <= tokens + 1 for count in rows)


@given(policies, st.integers(0, 5000))
def test_expressions_say_the_same(policy, tokens):
    shares = expert_shares(policy, 8, 2)
    texts = rows_expressions("2*tokens", shares)
    assert [evaluate(text, {"tokens": tokens}) for text in texts] == rows_per_expert(
        2 * tokens, shares
    )


def test_uniform_is_even():
    assert rows_per_expert(1024, expert_shares("uniform", 8, 2)) == [128] * 8


def test_skew_follows_zipf():
    rows = rows_per_expert(1_000_000, expert_shares("zipf:1", 8, 1))
    assert [round(rows[0] / count) for count in rows] == list(range(1, 9))


def test_one_token_goes_to_as_many_experts_as_it_chooses():
    rows = rows_per_expert(2, expert_shares("uniform", 8, 2))
    assert sorted(rows) == [0] * 6 + [1, 1]


def test_no_expert_exceeds_its_share_of_tokens():
    rows = rows_per_expert(2000, expert_shares("zipf:10", 8, 2))
    assert max(rows) == 1000


@pytest.mark.parametrize("text", ["zipf", "zipf:", "zipf:-1", "zipf:nan", "zipf:99", "skewed", ""])
def test_bad_policies(text):
    with pytest.raises(OptionError, match="zipf"):
        expert_shares(text, 8, 2)
