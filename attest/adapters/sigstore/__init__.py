"""Sigstore: identities, certificates, transparency logs and timestamps, on sigstore-python.

Its modules import one another's libraries only where they are used, so that keyed verification never loads them.
"""
