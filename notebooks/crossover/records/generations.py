"""A CPU's microarchitecture by the processor's own numbers.

A virtual machine hides features: by those that are left, a CPU may look like an older one.
"""

# AMD's by family and ranges of model numbers, as Linux 6.11 tells them apart
# (arch/x86/kernel/cpu/amd.c), and Intel's servers' (arch/x86/include/asm/intel-family.h); no other
# maker's CPU has these numbers.
GENERATIONS = {
    6: [("Ice Lake", 0x6A, 0x6A), ("Ice Lake", 0x6C, 0x6C), ("Sapphire Rapids", 0x8F, 0x8F),
        ("Granite Rapids", 0xAD, 0xAE), ("Sierra Forest", 0xAF, 0xAF),
        ("Emerald Rapids", 0xCF, 0xCF)],
    23: [("Zen", 0x00, 0x2F), ("Zen 2", 0x30, 0x4F), ("Zen", 0x50, 0x5F), ("Zen 2", 0x60, 0x7F),
         ("Zen 2", 0x90, 0x91), ("Zen 2", 0xA0, 0xAF)],
    25: [("Zen 3", 0x00, 0x0F), ("Zen 4", 0x10, 0x1F), ("Zen 3", 0x20, 0x5F),
         ("Zen 4", 0x60, 0xAF)],
    26: [("Zen 5", 0x00, 0x2F), ("Zen 5", 0x40, 0x4F), ("Zen 5", 0x60, 0x7F)],
}  # fmt: skip


def generation(family: int | None, number: int | None) -> str | None:
    """The microarchitecture of an x86 processor by its family and model number; None of others."""
    if family is None or number is None:
        return None
    ranges = GENERATIONS.get(family, [])
    return next((name for name, first, last in ranges if first <= number <= last), None)
