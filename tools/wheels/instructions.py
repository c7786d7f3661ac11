"""Instructions of 32-bit ARM that a wheel's machines need not have.

The build attributes of a library are those of the first object that was linked and say nothing of the others, so the
code itself is read. Data among the code is taken for instructions too, except where an instruction loads it.
"""

import re
from collections.abc import Iterator

from capstone import CS_ARCH_ARM, CS_MODE_ARM, Cs, arm

NEWER = {
    arm.ARM_GRP_CRC: "ARMv8",
    arm.ARM_GRP_CRYPTO: "ARMv8",
    arm.ARM_GRP_FPARMV8: "ARMv8",
    arm.ARM_GRP_NEON: "NEON",
    arm.ARM_GRP_V8: "ARMv8",
    arm.ARM_GRP_VFP4: "VFPv4",
}
NEWER_THAN_6 = NEWER | {
    arm.ARM_GRP_DATABARRIER: "ARMv7",
    arm.ARM_GRP_V6T2: "ARMv6T2",
    arm.ARM_GRP_V7: "ARMv7",
    arm.ARM_GRP_VFP3: "VFPv3",
}
HIGH_REGISTERS = re.compile(r"\b(d(1[6-9]|2\d|3[01])|q\d+)\b")
# LLVM's libunwind keeps and restores these with a function of their own, and calls it for a frame that has saved some:
# none that was compiled without them.
UNWINDER = re.compile(r"v(ldm|stm)ia r0, \{d16, .*, d31\}")
LITERAL = re.compile(r"\[pc, #(-?(?:0x)?[0-9a-f]+)\]")


def forbidden(architecture: int, code: list[tuple[int, bytes]]) -> Iterator[str]:
    """What an ARM of this architecture (6 or 7) with the VFP of its time may lack; `code`: addresses and bytes."""
    newer = NEWER_THAN_6 if architecture == 6 else NEWER
    disassembler = Cs(CS_ARCH_ARM, CS_MODE_ARM)
    disassembler.detail = disassembler.skipdata = True
    for start, data in code:
        loaded: set[int] = set()
        found: dict[int, str] = {}
        for instruction in disassembler.disasm(data, start):
            if not instruction.id:
                continue
            if literal := LITERAL.search(instruction.op_str):
                address = (instruction.address + 8 + int(literal[1], 0)) & ~3
                loaded |= {address, address + 4} if instruction.mnemonic.startswith(("vldr", "ldrd")) else {address}
            if why := next((newer[group] for group in instruction.groups if group in newer), None):
                found[instruction.address] = f"{instruction.mnemonic} {instruction.op_str} of {why}"
            elif instruction.mnemonic.startswith(("sdiv", "udiv")):  # in no group
                found[instruction.address] = f"{instruction.mnemonic} {instruction.op_str} of the division extension"
            elif instruction.mnemonic.startswith("v") and HIGH_REGISTERS.search(instruction.op_str):
                text = f"{instruction.mnemonic} {instruction.op_str}"
                if not UNWINDER.fullmatch(text):
                    found[instruction.address] = f"{text} of a VFP with 32 registers"
        yield from (f"{text} at {address:#x}" for address, text in found.items() if address not in loaded)
