"""Hostile bytes for everything that reads bytes: by hypothesis in every run of the tests, by atheris in `make fuzz`."""
