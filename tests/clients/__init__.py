"""Clients that were written for Fortanix DSM, unmodified, against a gateway over https."""
