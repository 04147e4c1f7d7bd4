"""Runs as event files, which TensorBoard reads. Written byte by byte: neither TensorBoard nor protobuf is needed.

A file is a sequence of records (TensorFlow's `tensorflow/core/lib/io/record_writer.h`):

    uint64 length, uint32 masked CRC-32C of the length, `length` bytes, uint32 masked CRC-32C of the bytes

all little-endian. The bytes of a record are a protobuf message `Event` (`tensorflow/core/util/event.proto`).
Protobuf (https://protobuf.dev/programming-guides/encoding) writes each field as `number << 3 | wire type` and its
value.
"""

import struct
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from bnbench.analysis.arms import Runs
from bnbench.errors import ConfigError, ResultsError
from bnbench.files import write_atomic
from bnbench.runs.format import METRICS, TIMING, Run, read_json

FILE = "events.out.tfevents.bnbench"  # TensorBoard looks for "tfevents" in the name
VERSION = b"brain.Event:2"  # the first event of every file
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # protobuf's wire types


def export(runs: Runs, out: Path) -> int:
    """Write OUT/ARM/seed-N/events.out.tfevents.bnbench for each finished run; return their number.

    The same runs give the same bytes. Raises ConfigError where two runs would share a file, or where a folder is a
    run's own.
    """
    targets: dict[Path, Run] = {}
    for run in (run for arms in runs.groups.values() for arm in arms for run in (*arm.complete, *arm.diverged)):
        folder = out / run.name / f"seed-{run.seed}"
        if folder in targets:
            raise ConfigError(f"{run.path} and {targets[folder].path} have one name; export one of them elsewhere")
        if (folder / "run.json").exists():
            raise ConfigError(f"--output {out}: {folder} is a run's folder; name a place outside of the results")
        targets[folder] = run
    for folder, run in targets.items():
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic((folder / FILE).resolve(), events(run))
    return len(targets)


def events(run: Run) -> bytes:
    """The event file of a run: each metric after each epoch. Times are those of the training, without its pauses.

    An epoch is a step. The one test of a run with held-out images is at its last epoch.
    """
    time = _started(run)
    records = [_event(time, 0, _field(3, VERSION))]
    for row in run.rows:
        time += row.train_seconds + row.valid_seconds
        scalars = [(_tag(name), getattr(row, name)) for name in (*METRICS[1:], *TIMING[1:])]
        if run.test and row.epoch == len(run.rows):
            scalars += [("loss/test", run.test.loss), ("accuracy/test", run.test.accuracy)]
        records.append(_event(time, row.epoch, _summary(scalars)))
    return b"".join(map(record, records))


def _tag(name: str) -> str:
    """train_loss → loss/train: TensorBoard puts the tags with one beginning into one section."""
    what, _, of = name.partition("_")
    return f"{of}/{what}"


def _started(run: Run) -> float:
    """Seconds since 1970; 0 where run.json does not say it."""
    try:
        return datetime.fromisoformat(str(read_json(run.path).get("started"))).timestamp()
    except (ResultsError, ValueError, OverflowError, OSError):
        return 0.0


# Protobuf.


def _event(time: float, step: int, content: bytes) -> bytes:
    """Event: 1 wall_time (double), 2 step (int64), then 3 file_version or 5 summary."""
    return bytes([1 << 3 | FIXED64]) + struct.pack("<d", time) + bytes([2 << 3 | VARINT]) + _varint(step) + content


def _summary(scalars: Sequence[tuple[str, float]]) -> bytes:
    """Field 5 of an Event. Summary: 1 value (repeated). Value: 1 tag (string), 2 simple_value (float)."""
    values = [
        _field(1, tag.encode()) + bytes([2 << 3 | FIXED32]) + struct.pack("<f", _float32(value))
        for tag, value in scalars
    ]
    return _field(5, b"".join(_field(1, value) for value in values))


def _float32(value: float) -> float:
    """A float that fits in 32 bits; larger ones, as of diverged losses, become infinite."""
    return value if not abs(value) > 3.4028234e38 else value * float("inf")


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | BYTES]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the high bit says that more follow. `value` is not negative."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


# Records.


def record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return length + struct.pack("<I", masked(crc32c(length))) + content + struct.pack("<I", masked(crc32c(content)))


def _table() -> Iterator[int]:
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)  # Castagnoli's polynomial, reversed
        yield byte


CRC = tuple(_table())


def crc32c(content: bytes) -> int:
    """The CRC-32C (RFC 3720, appendix B.4)."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = crc >> 8 ^ CRC[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """Rotated by 15 bits, plus a constant: the CRC of bytes that hold CRCs would be weak."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
