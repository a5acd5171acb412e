"""Kubernetes: digests written into manifests, `kubectl` that applies them, and what the pods run."""

from attest.adapters.kubernetes.cluster import Kubernetes

__all__ = ["Kubernetes"]
