"""GDDR6-AiM and CENT against the simulator their artifact uses, and what its parts cost.

Milliseconds of one transformer block, its PIM part, as CENT stores them; nothing refreshes there.
Where a block has fewer channels than the device, other blocks work on the rest at the same time and
share the port to the controller.
"""

import pytest
from probes.works import decoder_block

from simulator.errors import HardwareError
from simulator.system.specs import load_hardware

LLAMA2_7B = (4096, 11008, 32, 32)
LLAMA2_70B = (8192, 28672, 64, 8)
BLOCKS = [
    # model, channels of a block, blocks of a device, milliseconds by context
    (LLAMA2_7B, 32, 1, {128: 0.05904, 1024: 0.06684, 2048: 0.07807, 4096: 0.10045}),
    (LLAMA2_7B, 8, 4, {128: 0.21279, 1024: 0.24908, 2048: 0.29320, 4096: 0.38139}),
    (LLAMA2_70B, 32, 1, {128: 0.21849, 1024: 0.23669, 2048: 0.26551, 4096: 0.32309}),
    (LLAMA2_70B, 10, 3, {128: 0.66696, 1024: 0.72331, 2048: 0.79014, 4096: 0.92708}),
]
GEMV = [
    (1024, 1024, 32, 645),
    (4096, 1024, 32, 2580),
    (1024, 4096, 32, 2031),
    (4096, 4096, 32, 8124),
    (11008, 4096, 32, 22053),
    (8192, 8192, 32, 31032),
    (2048, 2048, 8, 7758),
]


def cent(lab, channels: int, blocks: int, *overrides: str):
    return lab.platform(
        f"memory.organization.stacks={channels // 2}",
        f"controller.vector_lanes={16 * channels}",
        f"controller.port={64 / blocks} GB/s",
        *overrides,
        name="cent-32ch",
    )


def block_ms(lab, on, model, tokens: int) -> float:
    return 1e3 * sum(lab.play(on, work).seconds for work in decoder_block(*model, tokens))


@pytest.mark.parametrize(("model", "channels", "blocks", "published"), BLOCKS)
def test_blocks_of_llama(lab, model, channels, blocks, published):
    on = cent(lab, channels, blocks, lab.no_refresh)
    for tokens, milliseconds in published.items():
        assert block_ms(lab, on, model, tokens) == pytest.approx(milliseconds, rel=0.15), tokens


def test_refresh_costs_what_the_peer_leaves_out(lab):
    """350 ns every 3,900, and the rows it closes."""
    with_, without = (
        block_ms(lab, cent(lab, 32, 1, *overrides), LLAMA2_7B, 1024)
        for overrides in ((), (lab.no_refresh,))
    )
    assert 1.06 < with_ / without < 1.11


@pytest.mark.parametrize(("depth", "outputs", "channels", "cycles"), GEMV)
def test_matrix_vector_products(lab, depth, outputs, channels, cycles):
    """Bias, rows and reads of a group of outputs, with a switch between the three."""
    on = cent(lab, channels, 1, lab.no_refresh)
    simulated = lab.play(on, lab.gemm(1, outputs, depth)).seconds / 0.5e-9
    assert simulated == pytest.approx(cycles, rel=0.05)


def test_a_device_is_two_channels_of_a_card(lab):
    card, device = lab.platform(name="cent-32ch").spec, lab.platform(name="gddr6-aim").spec
    assert (card.memory.channels, device.memory.channels) == (32, 2)
    assert card.internal_bytes_per_s == pytest.approx(16.384e12)
    assert device.mac_peak == pytest.approx(1.024e12)  # 1 TFLOPS a chip in its paper's title


def test_one_head_for_each_row_wastes_it(lab):
    """Heads of 128 fill 8 of 64 columns; a row opens for each unless heads share it."""
    work = lab.attention(32, 2048, 128)
    share, own, packed = (
        lab.play(cent(lab, 32, 1, lab.no_refresh, *overrides), work)
        for overrides in (
            (),
            ("mapping.heads_share_rows=false",),
            (
                "mapping.spread_values=tokens",
                "mapping.heads_share_rows=false",
                "mapping.scale_scores=controller",
                "mapping.pack=true",
            ),
        )
    )
    assert share.rows_opened < own.rows_opened
    assert share.seconds < own.seconds
    assert packed.rows_opened < share.rows_opened


def test_switches_between_kinds_are_paid(lab):
    work = lab.gemm(1, 1024, 1024)
    usual, free = (
        lab.play(cent(lab, 32, 1, lab.no_refresh, f"buffer.switch={switch}"), work).seconds
        for switch in ("32 ck", "0 ck")
    )
    # To the rows and to the results; what would close or open rows meanwhile waits too.
    switch = 32 * 0.5e-9
    assert 2 * switch <= usual - free <= 3 * switch


def test_work_on_cent_obeys_its_roofs(lab):
    on = cent(lab, 32, 1)
    for work in decoder_block(*LLAMA2_7B, 700):
        lab.bounded(on, work)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["buffer.overlap=true"], "give one of them"),
        (["mapping.spread_values=tokens"], "another value than mapping.spread"),
    ],
)
def test_choices_that_exclude_each_other_are_one_clear_line(overrides, says):
    with pytest.raises(HardwareError) as caught:
        load_hardware("cent-32ch", overrides)
    assert says in str(caught.value)
