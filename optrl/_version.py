"""The version of optrl, read by the build."""

__version__ = "0.1.0"
