"""Times, in seconds since 1970."""

LATEST = 253_402_300_799
"""The end of the year 9999, the last that can be written. What callers name may be a number of any length."""
