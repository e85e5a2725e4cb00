"""The report of a comparison: one self-contained page, charts drawn as small SVG by hand."""
