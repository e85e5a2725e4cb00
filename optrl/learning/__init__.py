"""Learning policies from simulation."""
