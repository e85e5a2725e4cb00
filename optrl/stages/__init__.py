"""Stage problems: a few periods of replenishment as a program that is solved again and again."""
