"""Many items under shared capacities: blocks of items answer prices, and a master sets them."""
