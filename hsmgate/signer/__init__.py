"""The signer process: the only code that loads a PKCS#11 module while hsmgate serves."""
