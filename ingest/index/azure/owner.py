"""Owner of a lease: the process that holds it, and whether that process still exists."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import uuid
from pathlib import Path

BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")
PID_NAMESPACE_FILE = Path("/proc/self/ns/pid")


def create_owner() -> str:
    """Return a new name for this process, as in host@machine:pid:random."""
    return f"{local_host()}:{os.getpid()}:{secrets.token_hex(4)}"


def local_host() -> str:
    """Return the host's name, with ids of the machine, its boot and its container.

    Process ids are comparable only if all of these are equal.
    """
    try:
        namespace = PID_NAMESPACE_FILE.stat().st_ino
        machine = f"{BOOT_ID_FILE.read_text().strip()}/{namespace}"
    except OSError:
        # Elsewhere there are no such namespaces. A Linux without these files may be any container.
        is_linux = sys.platform == "linux"
        machine = secrets.token_hex(8) if is_linux else f"{uuid.getnode():x}"
    return f"{socket.gethostname()}@{machine}"


def describe_owner(owner: str) -> str:
    """Return an owner's host and process id, for a message."""
    name, _, process_id = owner.rpartition(":")[0].rpartition(":")
    return f"{name.partition('@')[0]}:{process_id}"


def is_owner_gone(owner: str) -> bool:
    """Return True if the owner was a process of this machine and container, and has ended."""
    host, _, process_id = owner.rpartition(":")[0].rpartition(":")
    if host != local_host():
        return False
    try:
        os.kill(int(process_id), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
