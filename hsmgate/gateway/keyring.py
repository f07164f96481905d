"""Which keys there are, on which tokens, and which of them a descriptor means."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hsmgate.domain.model import KeyInfo, KeyType
from hsmgate.errors import AmbiguousKey, BadItem, NoSuchKey
from hsmgate.gateway.auth import App
from hsmgate.gateway.pool import TokenPool
from hsmgate.ipc.messages import Keys

_KID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NAME = re.compile(r"[^\n]*[^\s\n][^\n]*")
LONGEST_NAME = 4096


@dataclass(frozen=True, slots=True)
class Route:
    """A token that has the key, and what its signers call it."""

    pool: TokenPool
    ref: bytes


@dataclass(slots=True, eq=False)
class Sobject:
    """A key as the API knows it; clones on several tokens are one.

    contested: it is several keys under one kid, and so none.
    """

    info: KeyInfo
    routes: list[Route]
    contested: bool = False


class Keyring:
    """The keys of all tokens, by kid and by name. Always as new as the last word of each token's signers.

    version: grows with every change.
    """

    def __init__(self) -> None:
        self.version = 0
        self._told: dict[TokenPool, list[KeyInfo]] = {}
        self._by_kid: dict[str, Sobject] = {}
        self._by_name: dict[str, list[Sobject]] = {}
        self._found_kids: dict[tuple[App, str], Sobject] = {}
        self._found_names: dict[tuple[App, str], Sobject] = {}

    def update(self, pool: TokenPool, keys: Keys) -> None:
        """Take in what a token has now."""
        if self._told.get(pool) != keys.keys:
            self._told[pool] = keys.keys
            self._rebuild()

    def by_kid(self, kid: str, app: App) -> Sobject:
        """The key of that kid. Raises BadItem, NoSuchKey or AmbiguousKey."""
        at = app, kid.lower()
        sobject = self._found_kids.get(at)
        if sobject is None:
            sobject = self._found_kids[at] = self._search_kid(at[1], app)
        return sobject

    def by_name(self, name: str, app: App) -> Sobject:
        """The key of that name. Raises BadItem, NoSuchKey or AmbiguousKey."""
        at = app, name
        sobject = self._found_names.get(at)
        if sobject is None:
            sobject = self._found_names[at] = self._search_name(name, app)
        return sobject

    def has_name(self, name: str) -> bool:
        """Whether there is a key of that name, whoever may use it: to be told only to who may use all of that name."""
        return name in self._by_name

    def all_of(self, app: App) -> list[Sobject]:
        """The keys that the app may use, by kid."""
        mine = [s for s in self._by_kid.values() if not s.contested and app.grant.covers(s.info.name, s.info.kid)]
        return sorted(mine, key=lambda sobject: sobject.info.kid)

    def problems(self) -> Iterator[str]:
        """What an operator should know: keys that cannot be told apart."""
        for kid, sobject in self._by_kid.items():
            if sobject.contested:
                yield f"kid {kid} is borne by more than one key: none of them is used"
        for name, sobjects in self._by_name.items():
            if len(sobjects) > 1:
                yield f"{len(sobjects)} keys are named '{name}': they are used by kid only"

    def _rebuild(self) -> None:
        self.version += 1
        self._by_kid, self._by_name, self._found_kids, self._found_names = {}, {}, {}, {}
        for pool, keys in self._told.items():
            for key in keys:
                sobject = self._add(key, Route(pool, key.ref))
                if key.name is not None:
                    named = self._by_name.setdefault(key.name, [])
                    if sobject not in named:
                        named.append(sobject)

    def _add(self, key: KeyInfo, route: Route) -> Sobject:
        there = self._by_kid.get(key.kid)
        if there is None:
            there = self._by_kid[key.kid] = Sobject(key, [route])
            return there
        same_token = any(other.pool is route.pool for other in there.routes)
        # Where there are no public keys to compare, all else must be the same.
        same_key = key.ref == there.info.ref if key.public_key is None else key.public_key == there.info.public_key
        there.contested |= same_token or not same_key
        there.routes.append(route)
        return there

    def _search_kid(self, kid: str, app: App) -> Sobject:
        if not _KID.fullmatch(kid):
            raise BadItem("key.kid: not a UUID")
        # A key that is not there is looked at like one that is: what a refusal takes must not tell which it was.
        sobject = self._by_kid.get(kid, _NOBODY)
        covered = app.grant.covers(sobject.info.name, kid)
        if not covered or sobject is _NOBODY:
            raise NoSuchKey
        return _only_one(sobject)

    def _search_name(self, name: str, app: App) -> Sobject:
        check_name(name)
        there = self._by_name.get(name, _NOBODIES)
        mine = [s for s in there if app.grant.covers(name, s.info.kid) and s is not _NOBODY]
        if not mine:
            raise NoSuchKey
        if len(mine) > 1:
            raise AmbiguousKey(f"key.name: {len(mine)} keys have this name; use kid")
        return _only_one(mine[0])


_NOBODY = Sobject(KeyInfo(b"", "", "no such key", KeyType.OTHER, None, 0, None), [])
"""Looked at where there is no key."""

_NOBODIES = [_NOBODY]


def _only_one(sobject: Sobject) -> Sobject:
    if sobject.contested:
        raise AmbiguousKey(f"key: more than one key has the kid {sobject.info.kid}")
    return sobject


def check_name(name: str, member: str = "key.name") -> None:
    """Raise BadItem for what can be no key's name (seed page, SobjectDescriptorVariantName)."""
    if len(name) > LONGEST_NAME:
        raise BadItem(f"{member}: longer than {LONGEST_NAME} characters")
    if not _NAME.fullmatch(name):
        raise BadItem(f"{member}: empty, blank or with a line break")
    if "\0" in name:
        raise BadItem(f"{member}: it has a NUL in it")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise BadItem(f"{member}: not Unicode text (a lone surrogate)") from None
