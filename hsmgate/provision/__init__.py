"""`hsmgate init`: a demo to begin with. A short-lived process, so it may load a module itself."""
