"""The image's health check: does /livez answer? Where it is stands in HSMGATE_LIVEZ.

It asks its own machine, so no certificate is verified: the name in it is the service's.
"""

import os
import ssl
import sys
import urllib.request

context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
try:
    urllib.request.urlopen(os.environ["HSMGATE_LIVEZ"], timeout=3, context=context).close()  # noqa: S310 - the image's own
except OSError as error:
    sys.exit(f"no answer: {error}")
