"""Cost-to-go functions as Pyomo blocks: what is left after the horizon, exactly."""
