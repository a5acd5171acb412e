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
RECORD: Final = MIB
"""Bytes of the payload of one record of a ledger, and of a line of its export twice as many."""
ARTIFACTS: Final = 10_000
"""Files that are recorded as materials, or as products, of one command."""
KEY_FILE: Final = 64 * 1024
"""Bytes of a key file."""
CLOCK_SKEW: Final = 60
"""Seconds that a clock may be ahead."""
REPORT: Final = 24 * MIB
"""Bytes of one test report; as JSON text it may take four times as much, and its parts again."""
REPORTS: Final = 64
"""Reports that one statement rests on."""
REPORT_CASES: Final = 100_000
"""Cases or findings in one report."""
REPORT_LINES: Final = 500_000
"""Lines in one Cobertura report."""
REPORT_DEPTH: Final = 64
"""Nesting of elements in an XML report, and of subtests in TAP."""
TEST_NAME: Final = 4_096
"""Characters of a test's name."""
TEST_NAMES: Final = 32 * 1024
"""Bytes of JSON that configuration and names of a test-result take: with its signature it stays under 64 KiB."""
LAYERS: Final = 512
"""Layers of one image; overlay filesystems stack at most 500."""
LAYER_BYTES: Final = 64 * 1024 * MIB
"""Bytes of one layer, uncompressed."""
LAYER_RATIO: Final = 256
"""Times that a layer may grow when it is uncompressed, after its first `LAYER_FREE` bytes."""
LAYER_FREE: Final = 256 * MIB
"""Uncompressed bytes of a layer that are read whatever its ratio."""
ENTRIES: Final = 500_000
"""Entries of all layers of one image."""
ENTRY_NAMES: Final = 64 * MIB
"""Characters of the paths and link targets of all entries of one image; each is in memory several times."""
ENTRY_PATH: Final = 4_096
"""Bytes of a path in a layer, and of the target of a link: PATH_MAX."""
PAX_HEADER: Final = MIB
"""Bytes of the extended header of one entry."""
PAX_TOTAL: Final = 64 * MIB
"""Bytes of all extended headers of one layer."""
PACKAGE_DATABASE: Final = 64 * MIB
"""Bytes of one database of installed packages."""
PACKAGE_FILE: Final = 4 * MIB
"""Bytes of the file by which one package says what it is."""
PACKAGES: Final = 100_000
"""Packages that the databases of all layers of one image name; a bound on what they take in memory."""
ACCOUNTS_FILE: Final = 4 * MIB
"""Bytes of /etc/passwd, and of its companions."""
PACKAGE_FILES: Final = 128 * MIB
"""Bytes of all such files in one layer."""
