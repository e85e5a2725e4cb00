"""Masters, one file each."""
