"""Finding classes by the name they declare, by walking a package."""
