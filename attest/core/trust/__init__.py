"""Whom Sigstore's signers ask and its verifiers believe."""
