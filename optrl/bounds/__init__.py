"""Lower bounds on what any policy costs, each with its assumption, and certificates."""
