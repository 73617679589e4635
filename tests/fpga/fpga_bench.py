"""A bench: works run on a design, with what moved and how long it took."""

from dataclasses import dataclass
from functools import lru_cache

from simulator.engine import layout
from simulator.engine.device import Device
from simulator.engine.program import Kernel
from simulator.fpga.platform import PLATFORM, FpgaPlatform
from simulator.fpga.spec import FpgaSpec
from simulator.system.specs import load_hardware
from simulator.trace.work import Gemm, Operand, Work

FEMTO = 10**15
END = 1 << 62


@dataclass(frozen=True)
class Run:
    seconds: float
    read: int
    written: int
    bound: float


@lru_cache(maxsize=32)
def design(*overrides: str) -> FpgaSpec:
    spec = load_hardware("flightllm-u280", overrides).spec
    assert isinstance(spec, FpgaSpec)
    return spec


class Bench:
    """One machine of one design; operands lie at 256 MiB times their storage number."""

    def __init__(self, *overrides: str, exact: bool = False) -> None:
        self.spec = design(*overrides)
        self.platform: FpgaPlatform = PLATFORM(self.spec)
        self.device = Device(self.platform.assemble(exact))

    @staticmethod
    def address(operand: Operand) -> int:
        return (operand.storage << 28) + operand.offset

    def kernels(self, work: Work) -> list[Kernel]:
        return list(self.platform.kernels(work, self.address))

    def run(self, work: Work) -> Run:
        start, read, written = self.device.now, 0, 0
        for kernel in self.kernels(work):
            handle = self.device.launch(kernel, self.device.now)
            outcome = self.device.advance(END)
            assert outcome.reason == "finished", f"{kernel.name} is stuck"
            row = self.device.kernel_row(handle)
            read += int(row[layout.J_DRAM_READ])
            written += int(row[layout.J_DRAM_WRITE])
        moved = work.bytes_read + work.bytes_written
        bound = max((limit.seconds for limit in self.platform.limits(work, moved)), default=0.0)
        return Run((self.device.now - start) / FEMTO, read, written, bound)


def operand(
    storage: int, elements: int, bits: int = 8, role: str = "activation", share: float = 1.0
) -> Operand:
    size = int(elements * bits // 8 * share)
    return Operand(storage, 0, size, bits, f"int{bits}", role, size)


def linear(m: int, n: int, k: int, *, bits: int = 4, density: float = 1.0, batch: int = 1) -> Gemm:
    """A linear layer with quantised weights."""
    return Gemm(
        (
            operand(0, batch * m * k),
            operand(1, batch * n * k, bits, "weight", density),
        ),
        (operand(2, batch * m * n),),
        batch,
        m,
        n,
        k,
        density=density,
    )
