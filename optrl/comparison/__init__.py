"""Policies compared on common random numbers until their ranking is settled."""
