"""Test reports: which format the bytes are, and what they say. The name of a file decides nothing.

common      cases within limits, errors     xml         streamed, without entities
junit       sarif       ctrf        tap     playwright  cobertura   coveragepy
"""

from attest.adapters.reports.read import read_report

__all__ = ["read_report"]
