"""Deliveries: deploy, roll back, repair, and look; on the ports of ledger, target and stores."""
