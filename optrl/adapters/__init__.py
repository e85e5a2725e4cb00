"""Foreign environments: read into instances, with policies of this package acting inside them."""
