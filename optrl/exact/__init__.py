"""Dynamic programs that solve small instances exactly: the ground truth of the test beds.

Average costs come with a lower and an upper bound; nothing is sampled.
"""
