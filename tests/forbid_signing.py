"""Sets CKA_SIGN of a private key to false: python -m tests.forbid_signing MODULE TOKEN_LABEL KEY_LABEL < PIN

In a process of its own, because a module that is loaded stays.
"""

import sys

import pkcs11

module, token_label, label = sys.argv[1:]
with pkcs11.lib(module).get_token(token_label=token_label).open(rw=True, user_pin=sys.stdin.read().strip()) as session:
    wanted = {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY, pkcs11.Attribute.LABEL: label}
    (key,) = [*session.get_objects(wanted)]
    key[pkcs11.Attribute.SIGN] = False
