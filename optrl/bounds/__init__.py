"""Lower bounds on the cost of any policy, and the certificate that a plan carries."""
