"""Evaluation: policies on the same random numbers, and the perfect-information bound."""
