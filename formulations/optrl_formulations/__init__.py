"""Formulations of inventory planning as Pyomo blocks; see the catalogue in the folder above."""
