"""The signer process, part by part."""
