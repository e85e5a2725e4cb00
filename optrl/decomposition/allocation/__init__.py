"""Scarce capacity shared out by prices: allocations, their prices, whole plans from both."""
