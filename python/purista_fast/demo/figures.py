"""What the demo counts and measures while it runs, and the summary that it makes of it."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct, field

from .messages import Alarm, Latency, Sample, SensorDigest

__all__ = ("Figures", "Summary", "process_memory")


class Figures(Struct):
    """Counted on the bridge, by an observer that listens to the events of the demo's own instance."""

    samples: int = 0
    sample_bytes: int = 0
    digests: int = 0
    digest_bytes: int = 0
    alarms: list[Alarm] = field(default_factory=list)
    round_trips: list[float] = field(default_factory=list)
    """Of commands, in seconds."""
    failed_calls: int = 0
    readings: dict[str, Sample] = field(default_factory=dict)
    """The latest sample of each sensor."""
    windows: dict[str, SensorDigest] = field(default_factory=dict)
    """What was told last of each sensor."""


class Summary(Struct, rename="camel", kw_only=True):
    """How a run went. Bytes are those of whole messages, as a broker carries them; latencies are milliseconds."""

    bridge: str
    seconds: float
    sensors: int
    missing: list[str]
    samples: int
    sample_bytes: int
    digests: int
    digest_bytes: int
    fewer_messages: float | None
    """How many samples there were for each digest."""
    fewer_bytes: float | None
    alarms_raised: int
    alarms_cleared: int
    sample_to_digest: Latency
    command_round_trip: Latency
    failed_calls: int
    dropped: int
    rss_kib: int | None
    pss_kib: int | None

    def text(self) -> str:
        """For people."""
        rss, pss = (f"{kib / 1024:.1f} MiB" if kib else "unknown" for kib in (self.rss_kib, self.pss_kib))
        lines = [
            f"{self.seconds:.1f} s on {self.bridge}, {self.sensors} sensors of this machine",
            f"  samples in           {self.samples:8} messages  {_size(self.sample_bytes)}",
            f"  digests out          {self.digests:8} messages  {_size(self.digest_bytes)}",
            f"  reduction            {_factor(self.fewer_messages)} messages  {_factor(self.fewer_bytes)} bytes",
            f"  alarms               {self.alarms_raised:8} raised    {self.alarms_cleared:8} cleared",
            f"  sample to digest     {_latency(self.sample_to_digest)}",
            f"  command and answer   {_latency(self.command_round_trip)}",
            f"  memory                RSS {rss}, PSS {pss}",
        ]
        if self.dropped or self.failed_calls:
            lines.append(f"  lost                 {self.dropped:8} events    {self.failed_calls:8} commands failed")
        lines += [f"  not on this machine   {what}" for what in self.missing]
        return "\n".join(lines)


def process_memory() -> tuple[int | None, int | None]:
    """Resident and proportional set size of this process in KiB, as far as the kernel tells."""
    for path in (Path("/proc/self/smaps_rollup"), Path("/proc/self/status")):
        try:
            lines = path.read_text("ascii", "replace").splitlines()
        except OSError:
            continue
        fields = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
        sizes = [int(fields[name][0]) if name in fields else None for name in ("Rss", "VmRSS", "Pss")]
        return sizes[0] or sizes[1], sizes[2]
    return None, None


def _size(count: int) -> str:
    return f"{count / 1000:8.1f} kB"


def _factor(factor: float | None) -> str:
    return "       –" if factor is None else f"{factor:7.1f}×"


def _latency(found: Latency) -> str:
    if not found.count:
        return "       – none"
    return f"{found.median:8.3f} ms median  {found.p95:8.3f} p95  {found.max:8.3f} max  of {found.count}"
