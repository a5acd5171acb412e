"""attest: a promotion gate for container images."""
