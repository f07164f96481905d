"""hsmgate: Fortanix DSM's signing API in front of any PKCS#11 HSM."""

__version__ = "0.1.0"
