"""The intake log: one JetStream stream, a subject for each partition."""

import zlib
from typing import Any, Final
from uuid import UUID

from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

STREAM: Final = "INTAKE"
#: Within this time a batch that is sent again is recognised by its id and stored once.
DUPLICATE_WINDOW_SECONDS: Final = 120.0


def subject_of(partition: int) -> str:
    """Return the subject that carries a partition."""
    return f"intake.{partition}"


def partition_of(organization_id: UUID, device: str, partitions: int) -> int:
    """Return the partition of a device; the same for every process and run."""
    return zlib.crc32(device.encode(), zlib.crc32(organization_id.bytes)) % partitions


async def ensure_log(js: Any, *, max_bytes: int, replicas: int) -> str:
    """Make or update the stream; return the identity of this log.

    A full log refuses new batches rather than dropping old ones: devices are then not acknowledged
    and keep what they have.
    """
    config = StreamConfig(
        name=STREAM,
        subjects=["intake.*"],
        retention=RetentionPolicy.LIMITS,
        discard=DiscardPolicy.NEW,
        storage=StorageType.FILE,
        max_bytes=max_bytes,
        num_replicas=replicas,
        duplicate_window=DUPLICATE_WINDOW_SECONDS,
    )
    try:
        await js.stream_info(STREAM)
    except NotFoundError:
        info = await js.add_stream(config)
    else:
        info = await js.update_stream(config)
    return identity_of(info)


async def partitions_in(js: Any) -> int:
    """Return how many partitions the messages in the log need: the highest number, and one."""
    info = await js.stream_info(STREAM, subjects_filter=subject_of(0)[:-1] + "*")
    return max((int(s.rpartition(".")[2]) + 1 for s in info.state.subjects or ()), default=0)


def identity_of(info: Any) -> str:
    """Return what tells this log from one of the same name made later."""
    return f"{info.config.name}@{info.created}"
