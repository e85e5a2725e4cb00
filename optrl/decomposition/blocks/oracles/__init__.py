"""Oracles, one file each."""
