"""Metrics of several processes, in files of one folder: whoever is asked answers for all.

A process has files of its own, named after it. What it counted stays there when it ends, what it was does not.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, multiprocess, values
from prometheus_client.registry import Collector

from hsmgate.errors import ConfigError

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder, if there is one. It is looked at when the library is imported."""

_name: Callable[[], int | str] = os.getpid


def count_as(name: str) -> None:
    """Use the files of that name from now on: those of a process that is gone, where this one takes its place."""
    global _name  # noqa: PLW0603 - a process has one name

    def named() -> str:
        return name

    _name = named
    values.ValueClass = values.MultiProcessValue(named)  # type: ignore[no-untyped-call]


def check_folder() -> None:
    """Raise ConfigError where the folder is none."""
    folder = os.environ.get(FOLDER)
    if folder is not None and not (Path(folder).is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        raise ConfigError([f"{FOLDER}: not a folder that can be written"])


def leave() -> None:
    """Nothing is counted in this process any more."""
    if FOLDER in os.environ:
        forget(_name())


def forget(name: int | str) -> None:
    """The process of that name is gone."""
    multiprocess.mark_process_dead(name)  # type: ignore[no-untyped-call]


def of_all(tokens: Iterable[str]) -> CollectorRegistry | None:
    """What reads the values of all processes, where there are several. tokens: those that there are now."""
    if FOLDER not in os.environ:
        return None
    registry = CollectorRegistry()
    registry.register(_Living(frozenset(tokens)))
    return registry


class _Living(Collector):
    """All values, but for what tokens were like that are gone."""

    def __init__(self, tokens: frozenset[str]) -> None:
        self._tokens = tokens
        self._all = multiprocess.MultiProcessCollector(None)  # type: ignore[no-untyped-call]

    def collect(self) -> Iterator[Metric]:
        for metric in self._all.collect():  # type: ignore[no-untyped-call]
            if metric.type == "gauge":
                metric.samples = [
                    one for one in metric.samples if "token" not in one.labels or one.labels["token"] in self._tokens
                ]
            yield metric
