"""Planning: from instance to plan, its tables, the independent check, files and picture."""
