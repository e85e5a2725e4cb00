"""One problem cut into blocks of items or stages of time, joined by prices and value functions."""
