"""What holds for every PIM description: bounds, laws, counts, energy, and legal commands."""

import math

import numpy as np
import pytest

from simulator.engine.device import Device
from simulator.engine.program import Access, Kernel, Loop, Pattern, Program, grid
from simulator.errors import HardwareError
from simulator.hardware import catalogue
from simulator.memory.checker import check_log
from simulator.memory.controller import layout
from simulator.memory.model import channel_of
from simulator.memory.standards import COMMANDS
from simulator.pim.machine import lockstep
from simulator.system.specs import load_hardware
from simulator.trace.work import Elementwise

PRODUCTS = sorted(entry.name for entry in catalogue() if entry.kind == "pim")
STACKS = "memory.organization.stacks"


@pytest.fixture(params=PRODUCTS)
def name(request) -> str:
    return request.param


def one_stack(lab, name: str, *overrides: str):
    """The product with a single stack or package: the laws do not need more."""
    return lab.platform(f"{STACKS}=1", *overrides, name=name)


def works(lab) -> list:
    size = 1 << 19
    large = (lab.operand(1, 2 * size, "weight"), lab.operand(2, 2 * size, "weight"))
    return [
        lab.gemm(1, 1500, 1100),
        lab.gemm(2, 300, 2048),
        lab.attention(8, 700, 128, kv_heads=4),
        lab.elementwise(4096, vector=3, special=1),
        Elementwise(large, (lab.operand(3, 2 * size, "weight"),), size, 1, 0),
    ]


def rows(device: Device, count: int, columns: int) -> int:
    """Femtoseconds of so many lockstep rows of one channel."""
    macro = Pattern("macro", "banks", chunk=columns, loops=(1,))
    program = Program(((Loop(count, (Access(macro, "done"),)),),), {"done": 0})
    device.launch(Kernel("rows", "channel", (program,), grid(1), {"stream": 1}), 0)
    return device.advance(1 << 62).time


def logged(lab, name: str, *overrides: str):
    """All works on one device, and its command log by controller."""
    on = one_stack(lab, name, *overrides)
    device = Device(on.assemble(True), log=1 << 19)
    for work in works(lab):
        for kernel in on.kernels(work, lab.address):
            device.launch(kernel, device.now)
            device.advance(1 << 62)
    dram = device.machine.dram
    log = dram.log[0, : dram.run[0, layout.R_LOGGED]]
    return on, log[np.argsort(log[:, 0], kind="stable")]


def test_products_are_there():
    assert {"pim-gpt", "hbm-pim", "gddr6-aim", "cent-32ch"} <= {*PRODUCTS}
    assert {f"attacc-{place}" for place in ("bank", "bankgroup", "buffer")} <= {*PRODUCTS}


def test_no_work_beats_its_bytes_or_operations(lab, name):
    """Time is at least bytes over what banks, pins and buffer deliver, operations over units."""
    on = one_stack(lab, name)
    spec = on.spec
    for work in works(lab):
        played = lab.bounded(on, work)
        assert played.femtoseconds > 0
        column = spec.units * spec.memory.organization.access
        assert played.columns * column <= spec.internal_bytes_per_s * played.seconds * (1 + 1e-9)


@pytest.mark.parametrize("share", [1, 4])
def test_row_law(lab, name, share):
    """Use of a row's columns is at most columns over activate, columns and precharge, times what
    refresh leaves, and rows are no closer than tRC; shared units have several rows at once."""
    on = one_stack(lab, name)
    memory, timing = on.spec.memory, on.spec.memory.timing
    organization, fs = memory.organization, on.spec.memory.femtoseconds
    columns = organization.row // organization.access // share
    count, interval = 300, fs(on.spec.bank.mac_interval)
    time = rows(Device(on.assemble(True)), count, columns)
    close = max(0, fs(timing.read_to_precharge) - interval) + fs(timing.precharge)
    row = max(fs(on.spec.bank.rcd_compute) + columns * interval + close, fs(timing.rc))
    if on.spec.bank.shared > 1:
        row = max(columns * interval, row // on.spec.bank.shared)
    refresh = 1 - fs(timing.refresh.all_bank) / fs(timing.refresh.interval)
    slack = 1 + fs(timing.refresh.interval) / (count * row)
    assert time * slack >= count * row / refresh


def test_activates_keep_their_window_unless_relaxed(lab):
    """At most four banks open in tFAW; sixteen take four windows a row."""
    on = lab.platform("activation=faw", lab.no_refresh)
    device = Device(on.assemble(True), log=1 << 16)
    count = 40
    time = rows(device, count, 64)
    dram = device.machine.dram
    log = dram.log[0, : dram.run[0, layout.R_LOGGED]]
    ticks = np.sort(log[log[:, 1] == COMMANDS.index("ACT"), 0])
    faw = on.spec.memory.cycles(on.spec.memory.timing.faw)
    assert (ticks[4:] - ticks[:-4]).min() >= faw
    assert time >= (count - 1) * 4 * faw * dram.clock[0, 0]


def test_full_rows_hit_in_all_columns_but_one(lab, name):
    on = one_stack(lab, name, lab.no_refresh)
    organization = on.spec.memory.organization
    columns = organization.row // organization.access
    device = Device(on.assemble(True))
    rows(device, 20, columns)
    seen = device.snapshot()
    issued = seen.dram(layout.N_COMMAND + layout.MACAB)
    assert 1 - seen.dram(layout.N_MISS) / issued == pytest.approx(1 - 1 / columns, abs=1e-12)


def test_every_product_is_multiplied_once(lab, name):
    """Two operations for each lane of each column; whole sizes leave nothing over."""
    on = one_stack(lab, name, lab.no_refresh)
    spec = on.spec
    lanes = spec.units * spec.bank.lanes
    outputs, depth = spec.units * spec.memory.channels * 8, 1024
    work = lab.gemm(1, outputs, depth)
    played = lab.play(on, work)
    assert 2 * played.columns * lanes == work.operations["matrix"]


def test_time_grows_with_the_context(lab, name):
    """Monotone, and affine once every unit of the device has something to do."""
    on = one_stack(lab, name, lab.no_refresh)
    step = 64 * on.spec.units * on.spec.memory.channels
    step = min(step, 8192)
    times = [lab.play(on, lab.attention(32, count * step, 128)).seconds for count in (1, 2, 3)]
    assert times == sorted(times)
    assert times[2] - times[1] == pytest.approx(times[1] - times[0], rel=0.05)


def test_twice_the_channels_never_take_longer(lab, name):
    for work in (lab.gemm(1, 4096, 2048), lab.attention(32, 1024, 128)):
        fewer, more = (
            lab.play(lab.platform(f"{STACKS}={count}", lab.no_refresh, name=name), work).seconds
            for count in (1, 2)
        )
        assert more <= 1.001 * fewer


def test_refreshes_are_counted(lab, name):
    """One for each interval and channel, one more or less."""
    on = one_stack(lab, name)
    played = lab.play(on, lab.gemm(1, 4096, 4096))
    memory = on.spec.memory
    expected = math.floor(played.femtoseconds / memory.femtoseconds(memory.timing.refresh.interval))
    assert abs(played.refreshes / memory.channels - expected) <= 1


def test_a_bit_and_a_product_cost_what_bank_level_designs_cost(lab, name):
    """At least 0.3 pJ a bit; 4 to 12 pJ a product beside the banks, more the farther bits go."""
    on = one_stack(lab, name, lab.no_refresh)
    spec = on.spec
    played = lab.play(on, lab.gemm(1, 4096, 2048))
    joules = played.activates * spec.memory.energy.activate + played.columns * spec.column_energy
    products = played.columns * spec.units * spec.bank.lanes
    assert joules / (products * spec.bank.bits) >= 0.3e-12
    far = spec.energy.column > 0.44e-12
    assert 4e-12 <= joules / products <= (60e-12 if far else 12e-12)


def test_every_command_is_legal(lab, name):
    """An independent checker replays the log against every pair of the constraint table."""
    on, log = logged(lab, name)
    model = channel_of(on.spec.memory, lockstep(on.spec)).device
    assert len(log) > 1000
    assert check_log(model, log, refreshed=False) == []


def test_lockstep_and_host_accesses_never_overlap(lab, name):
    """Between two lockstep columns of a channel no read or write is issued out of its turn: they
    are apart by more than a column."""
    on, log = logged(lab, name)
    per_channel = channel_of(on.spec.memory, lockstep(on.spec)).device.banks
    lockstep_numbers = [COMMANDS.index(one) for one in ("MACab", "WRab")]
    host_numbers = [COMMANDS.index(one) for one in ("RD", "WR")]
    for channel in range(2):
        own = log[log[:, 2] // per_channel == channel]
        columns = own[np.isin(own[:, 1], lockstep_numbers), 0]
        host = own[np.isin(own[:, 1], host_numbers), 0]
        if len(columns) and len(host):
            assert not np.isin(host, columns).any()


def test_a_description_that_takes_no_time_is_refused(name):
    with pytest.raises(HardwareError, match="above 0"):
        load_hardware(name, ["bank.mac_interval=0 ns"])
