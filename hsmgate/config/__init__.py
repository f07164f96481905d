"""The config file: TOML in, frozen values out. A section is a class; what each of its keys means stands below the key.

The tables of docs/configuration.md are made of that. Relative paths are relative to the file.
"""

from hsmgate.config.audit import Audit
from hsmgate.config.callers import App, JwtAlgorithm, JwtProvider, Operation
from hsmgate.config.file import Config, check_listen
from hsmgate.config.server import Server
from hsmgate.config.token import Token
from hsmgate.config.words import LogLevel, Verification

__all__ = [
    "App",
    "Audit",
    "Config",
    "JwtAlgorithm",
    "JwtProvider",
    "LogLevel",
    "Operation",
    "Server",
    "Token",
    "Verification",
    "check_listen",
]
