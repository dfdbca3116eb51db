"""Checks of what candor writes, with the tools that others open it with."""
