"""A PKCS#11 module that fails on order, and what is done with it."""
