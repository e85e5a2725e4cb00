"""Large problems cut into parts that prices, cuts and values join, with bounds that are proved."""
