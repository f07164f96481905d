"""The tests mirror the package; tests/e2e runs all of it."""
