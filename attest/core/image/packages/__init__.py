"""Installed packages, read from the databases and files by which package managers know them."""
