"""`hsmgate init`, `serve` and `check`."""

import argparse
import signal
from pathlib import Path

from hsmgate.cli.parts import Commands, add_config, run, say, say_json


def add(commands: Commands) -> None:
    """Add the commands."""
    text = "make a demo in DIR: a SoftHSM token, keys, an app; what exists is kept"
    init = commands.add_parser("init", help=text, description=text)
    init.add_argument("directory", metavar="DIR", type=Path)
    init.set_defaults(run=_init)

    text = "serve until SIGTERM or SIGINT; SIGHUP loads the config anew"
    more = (
        ". A config that changes is taken over while it serves, in full or not at all: apps, limits, TLS files, tokens."
        " What needs a restart is named in the log: server.listen, workers, plain_http, log_format, [audit]."
    )
    serve = commands.add_parser("serve", help=text, description=text + more)
    add_config(serve)
    serve.add_argument("--listen", metavar="HOST:PORT", help="instead of the config's server.listen")
    serve.set_defaults(run=_serve)

    text = "open every token and print what is there; exit 0 only if it could serve"
    check = commands.add_parser("check", help=text, description=text)
    check.add_argument("--json", action="store_true", help="print it for a script")
    add_config(check)
    check.set_defaults(run=_check)


def _init(options: argparse.Namespace) -> int:
    from hsmgate.provision.demo import make_demo

    make_demo(options.directory)
    print(f"a demo is ready; serve it with: hsmgate serve --config {options.directory / 'hsmgate.toml'}")
    return 0


def _serve(options: argparse.Namespace) -> int:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it serves: it looks at the config then in any case

    from hsmgate.config import Config, check_listen
    from hsmgate.gateway import logs
    from hsmgate.gateway.server import serve

    config = Config.load(options.config)
    logs.configure(config.server.log_format, config.server.log_level)
    listen = config.server.listen if options.listen is None else check_listen(options.listen)
    if config.server.workers > 1:
        from hsmgate.gateway.workers.arbiter import serve_with_workers

        serve_with_workers(config, listen)
    run(serve(config, listen))
    return 0


def _check(options: argparse.Namespace) -> int:
    from hsmgate.config import Config
    from hsmgate.gateway.check import check

    report = run(check(Config.load(options.config)))
    if options.json:
        say_json(report.members())
    else:
        say("\n".join(report.lines()))
    return 0 if report.good else 1
