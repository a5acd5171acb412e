"""File capabilities, as the extended attribute security.capability keeps them.

Source: capabilities(7), "File capability extended attribute versioning"; linux/capability.h.
"""

from __future__ import annotations

import struct
from typing import Final

# fmt: off
_NAMES: Final = (
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
    "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
    "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
    "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
    "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
    "checkpoint_restore",
)
# fmt: on
_SIZES: Final = {1: 12, 2: 20, 3: 24}
_EFFECTIVE: Final = 1


def shown_capabilities(attribute: bytes) -> str:
    """The capabilities as getcap(8) shows them, `cap_net_raw,cap_chown=ep`; `unreadable` for what is no such set."""
    if len(attribute) < 4:
        return "unreadable"
    (magic,) = struct.unpack_from("<I", attribute)
    if len(attribute) != _SIZES.get(magic >> 24):
        return "unreadable"
    words = struct.unpack_from(f"<{(len(attribute) - 4) // 4}I", attribute, 4)
    permitted, inheritable = words[0], words[1]
    if magic >> 24 > 1:
        permitted |= words[2] << 32
        inheritable |= words[3] << 32
    groups: dict[str, list[str]] = {}
    for bit in range(64):
        flags = ("e" if magic & _EFFECTIVE and permitted >> bit & 1 else "") + (
            ("i" if inheritable >> bit & 1 else "") + ("p" if permitted >> bit & 1 else "")
        )
        if flags:
            groups.setdefault(flags, []).append(f"cap_{_NAMES[bit]}" if bit < len(_NAMES) else str(bit))
    return " ".join(f"{','.join(names)}={flags}" for flags, names in groups.items()) or "="
