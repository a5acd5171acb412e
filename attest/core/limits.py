"""How much of anything we are willing to read. A limit refuses; it never truncates.

The starting points are those of the notes on endless data: CVE-2023-46737, CVE-2024-45395.
"""

from __future__ import annotations

from typing import Final

MIB: Final = 1024 * 1024

BUNDLE: Final = 8 * MIB
"""Bytes of one Sigstore bundle."""
MANIFEST: Final = 4 * MIB
"""Bytes of one manifest, index, or page of a listing (distribution-spec, "Pushing Manifests")."""
CONFIG: Final = 4 * MIB
"""Bytes of an image's configuration."""
REFERRERS: Final = 1_000
"""Attestations listed for one digest."""
EVIDENCE: Final = 256 * MIB
"""Bytes of all evidence that one command reads."""
PAGES: Final = 20
"""Pages of one listing."""
PLATFORMS: Final = 64
"""Children of an image index."""
SUBJECTS: Final = 1_024
"""Subjects of one Statement."""
TOKEN_ANSWER: Final = 128 * 1024
"""Bytes of a token service's answer."""
JSON_DEPTH: Final = 32
"""Nesting of objects and arrays."""
JSON_CONTAINERS: Final = 200_000
"""Objects and arrays in one document; a bound on what parsing may cost in memory."""
JSON_VALUES: Final = 500_000
"""Commas in one document, plus one; parsing holds at most 400 bytes for each."""
JSON_DIGITS: Final = 20
"""Digits of an integer: every 64-bit number fits."""
DOCUMENT: Final = 256 * 1024
"""Bytes of a document that a person writes."""
KEY_FILE: Final = 64 * 1024
"""Bytes of a key file."""
CLOCK_SKEW: Final = 60
"""Seconds that a clock may be ahead."""
