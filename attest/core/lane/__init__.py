"""What a validation lane did, saw and reports: everything that it signs."""
