"""Simulation: state and decision, the order of events, rollouts and indicators."""
