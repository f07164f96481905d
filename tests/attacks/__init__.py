"""Attacks on a gateway, as someone hostile would try them: each is to give nothing."""
