"""Many items under shared capacities: blocks of items that answer prices, and a master that sets them.

Protocols: `Oracle` and `Recipe` (oracle), `Engine` (engine), `Master` (master).
"""
