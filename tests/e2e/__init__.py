"""Real processes, a real token, real HTTP."""
