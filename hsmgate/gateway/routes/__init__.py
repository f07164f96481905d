"""The HTTP surface, a module for each part of it."""
