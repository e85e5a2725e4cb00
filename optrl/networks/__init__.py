"""Networks of policies and value functions, in torch."""
