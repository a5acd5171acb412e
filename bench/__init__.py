"""The benchmark, `python -m bench`: what attest costs, beside cosign or a physical limit in the same run.

samples    many runs of several contestants, interleaved, and their ratio      results   rows, and how they are shown
machine    what it was measured on          launch, processes   a whole process: its time, its processor, its memory
stage      registries, delays, keys, images and policies, all on loopback      content   what is attached to them

One module for each thing measured: `traffic`, `fullset`, `signing`, `core`, `crowd`, `loading`. No number of this
package is asserted by a test: docs/performance.md holds what one machine measured.
"""
