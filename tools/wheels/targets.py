"""The targets of `make wheels`. As a program: prints each, with the flags for it and its standard library."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """One wheel: what Rust calls the platform, and what pip does."""

    triple: str
    platform: str
    rustflags: str = ""

    @property
    def compatibility(self) -> str:
        """What maturin is asked for: the tag without the architecture."""
        return self.platform.rsplit("_", 2 if self.platform.endswith("x86_64") else 1)[0]


# From 1.94 on, Rust uses the registers d16 to d31 on ARMv7 (rust-lang/rust#159973), which the VFPv3-D16 of a Tegra 2 or
# an Armada 370 does not have: an illegal instruction there.
HALF_VFP = "-Ctarget-feature=-d32"

TARGETS = (
    Target("x86_64-unknown-linux-gnu", "manylinux2014_x86_64"),
    Target("aarch64-unknown-linux-gnu", "manylinux2014_aarch64"),
    Target("armv7-unknown-linux-gnueabihf", "manylinux2014_armv7l", HALF_VFP),
    Target("x86_64-unknown-linux-musl", "musllinux_1_2_x86_64"),
    Target("aarch64-unknown-linux-musl", "musllinux_1_2_aarch64"),
    Target("armv7-unknown-linux-musleabihf", "musllinux_1_2_armv7l", HALF_VFP),
    Target("arm-unknown-linux-gnueabihf", "linux_armv6l"),
)

if __name__ == "__main__":
    for target in TARGETS:
        print(target.triple, target.rustflags)
