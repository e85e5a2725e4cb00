"""Inventory planning across a fulfilment network."""
