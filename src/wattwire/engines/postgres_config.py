"""The embedded PostgreSQL's configuration, written anew at each start."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from wattwire.settings import Durability

MIB: Final = 1024 * 1024
#: Only the hub's own role, with its password, over the socket. The superuser cannot log in at all.
HBA: Final = "local all hub scram-sha-256\n"
_CGROUP_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")

#: What is the same everywhere.
FIXED: Final[Mapping[str, str]] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    # The log has what the client is not told: starts, recoveries, ends. Never a value.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
    "log_autovacuum_min_duration": "-1",
    # Nobody replicates from here, so the log need not carry what a replica wants; idle is idle.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "fsync": "on",
    "full_page_writes": "on",
    "wal_compression": "on",
    # A bounded log also bounds how long a start after a crash takes.
    "max_wal_size": "1GB",
    "min_wal_size": "128MB",
    "checkpoint_timeout": "10min",
    "checkpoint_completion_target": "0.9",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "random_page_cost": "1.1",
    "jit": "off",
    # Two cores are shared with the hub; parallel queries would only take turns.
    "max_worker_processes": "4",
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "1",
    # A query over many monthly partitions locks each of them.
    "max_locks_per_transaction": "128",
    # Queues and stale marks turn over quickly: clean up early and in small steps.
    "autovacuum_max_workers": "2",
    "autovacuum_naptime": "15s",
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.05",
    # A client that died must not go on holding locks.
    "client_connection_check_interval": "5s",
    "idle_in_transaction_session_timeout": "5min",
}

#: After a crash every file is written out first: with one call for all of them, where there is one.
PLATFORM: Final[Mapping[str, str]] = (
    {"recovery_init_sync_method": "syncfs"} if sys.platform == "linux" else {}
)

#: What is known from a version on.
SINCE: Final[Mapping[int, Mapping[str, str]]] = {18: {"io_method": "sync"}}  # no idle I/O workers

COMMIT: Final[Mapping[Durability, Mapping[str, str]]] = {
    Durability.FSYNC: {"synchronous_commit": "on"},
    Durability.REPLICATED: {"synchronous_commit": "on"},
    # fsync stays on: without it a power cut could cost the whole database.
    Durability.PROCESS: {"synchronous_commit": "off", "wal_writer_delay": "50ms"},
}


def settings_for(
    version: int, durability: Durability, *, memory_bytes: int, folder: Path, sockets: Path
) -> dict[str, str]:
    """Return every setting of a server of that major version. `folder` holds pg_hba.conf."""
    buffers = min(max(memory_bytes // 48, 64 * MIB), 512 * MIB)
    newer = {k: v for since, some in SINCE.items() if version >= since for k, v in some.items()}
    return {
        **FIXED,
        **PLATFORM,
        **newer,
        **COMMIT[durability],
        "shared_buffers": f"{buffers // MIB}MB",
        "effective_cache_size": f"{max(memory_bytes // 2, 2 * buffers) // MIB}MB",
        "unix_socket_directories": str(sockets),
        "hba_file": str(folder / "pg_hba.conf"),
        "ident_file": str(folder / "pg_ident.conf"),
    }


def render(settings: Mapping[str, str]) -> str:
    """Return the text of postgresql.conf."""
    doubled = ((name, value.replace("'", "''")) for name, value in settings.items())
    lines = (f"{name} = '{value}'" for name, value in doubled)
    return "# Written by the hub at each start; changes are lost.\n" + "\n".join(lines) + "\n"


def memory_bytes() -> int:
    """Return how much memory this machine, or the container around us, has."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit = _CGROUP_LIMIT.read_text(encoding="ascii").strip()
    except OSError:
        return machine
    return min(machine, int(limit)) if limit.isdigit() else machine
