"""The HTTP process. No PKCS#11 in it."""
