from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from simulator.trace.allocator import MEDIUM_SEGMENT, MIB, SMALL_SEGMENT, CachingAllocator

SIZES = st.one_of(st.integers(0, 4096), st.integers(0, 3 * MIB), st.integers(8 * MIB, 40 * MIB))


class Allocations(RuleBasedStateMachine):
    """Random allocations against a list of what is alive."""

    def __init__(self) -> None:
        super().__init__()
        self.allocator = CachingAllocator(base=12345)
        self.alive: dict[int, int] = {}

    @rule(size=SIZES, stream=st.integers(0, 1))
    def allocate(self, size: int, stream: int) -> None:
        address = self.allocator.allocate(size, stream)
        assert address not in self.alive
        self.alive[address] = max(size, 1)

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def free(self, data: st.DataObject) -> None:
        address = data.draw(st.sampled_from(sorted(self.alive)))
        del self.alive[address]
        self.allocator.free(address)

    @invariant()
    def blocks_lie_apart_and_inside(self) -> None:
        end = 12345
        for address, size in sorted(self.alive.items()):
            assert address >= end
            assert address % 512 == 0
            end = address + size
        assert end <= self.allocator.top


TestAllocations = Allocations.TestCase
TestAllocations.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


def test_a_freed_block_is_reused():
    allocator = CachingAllocator()
    first = allocator.allocate(100_000)
    allocator.allocate(5_000)
    allocator.free(first)
    assert allocator.allocate(90_000) == first


def test_the_smallest_fitting_block_is_taken():
    allocator = CachingAllocator()
    large, _, small, _ = (allocator.allocate(size) for size in (8192, 512, 4096, 512))
    allocator.free(large)
    allocator.free(small)
    assert allocator.allocate(4000) == small


def test_small_requests_share_a_segment_and_large_ones_get_their_own():
    allocator = CachingAllocator()
    for _ in range(4):
        allocator.allocate(MIB // 2)
    assert allocator.top == SMALL_SEGMENT
    allocator.allocate(5 * MIB)
    assert allocator.top == SMALL_SEGMENT + MEDIUM_SEGMENT
    allocator.allocate(33 * MIB + 1)
    assert allocator.top == SMALL_SEGMENT + MEDIUM_SEGMENT + 34 * MIB


def test_streams_do_not_share_freed_blocks():
    allocator = CachingAllocator()
    first = allocator.allocate(1000, stream=0)
    allocator.free(first)
    assert allocator.allocate(1000, stream=1) != first
    assert allocator.allocate(1000, stream=0) == first


@given(size=SIZES, count=st.integers(1, 20), order=st.randoms(use_true_random=False))
def test_equal_requests_fit_again_in_whatever_order_they_were_freed(size, count, order):
    allocator = CachingAllocator()
    addresses = [allocator.allocate(size) for _ in range(count)]
    top = allocator.top
    order.shuffle(addresses)
    for address in addresses:
        allocator.free(address)
    assert {allocator.allocate(size) for _ in range(count)} == set(addresses)
    assert allocator.top == top


def test_a_rest_between_two_blocks_merges_with_the_next_one_freed():
    allocator = CachingAllocator()
    first, second = allocator.allocate(4096), allocator.allocate(512)
    allocator.free(first)
    assert allocator.allocate(1024) == first
    allocator.free(second)
    assert allocator.allocate(MIB // 2) == first + 1024
