"""Layers, and images in one file; nothing is ever unpacked.

compression    gzip, zstd and plain, found from the first bytes and bounded
search         where secrets may be in bytes that pass by
layer          one layer: checked, its members listed, a few files kept
files          a file with many members, of which single ones are read
ocitar         an OCI image layout in one tar archive
dockerarchive  what `docker save` writes
rpmdb          the RPM database of the kind sqlite
"""
