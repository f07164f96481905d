"""Which keys there are, on which tokens, and which of them a descriptor means."""

import re
from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hsmgate.domain.model import KeyInfo
from hsmgate.domain.policy import Grant
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


@dataclass(frozen=True, slots=True)
class _View:
    """The keys that somebody may use. A key of others is not in it, and so no other than one that is nowhere."""

    by_kid: Mapping[str, Sobject]
    by_name: Mapping[str, list[Sobject]]


class Keyring:
    """The keys of all tokens, by kid and by name. Always as new as the last word of each token's signers.

    version: grows with every change.
    """

    def __init__(self) -> None:
        self.version = 0
        self._told: dict[TokenPool, Sequence[KeyInfo]] = {}
        self._by_kid: dict[str, Sobject] = {}
        self._by_name: dict[str, list[Sobject]] = {}
        self._views: dict[App, _View] = {}
        self._views_by_scope: dict[Hashable, _View] = {}
        self._views_before: dict[Hashable, _View] = {}

    def update(self, pool: TokenPool, keys: Keys) -> None:
        """Take in what a token has now."""
        if self._told.get(pool) != keys.keys:
            self._told[pool] = keys.keys
            self._rebuild()

    def serve(self, told: Mapping[TokenPool, Sequence[KeyInfo]]) -> None:
        """From now on there are these tokens, with what each has told, and no others."""
        self._told = dict(told)
        self._rebuild()

    def by_kid(self, kid: str, app: App) -> Sobject:
        """The key of that kid. Raises BadItem, NoSuchKey or AmbiguousKey."""
        kid = kid.lower()
        if not is_kid(kid):
            raise BadItem("key.kid: not a UUID")
        sobject = self._view(app).by_kid.get(kid)
        if sobject is None:
            raise NoSuchKey
        return _only_one(sobject)

    def by_name(self, name: str, app: App) -> Sobject:
        """The key of that name. Raises BadItem, NoSuchKey or AmbiguousKey."""
        check_name(name)
        mine = self._view(app).by_name.get(name)
        if mine is None:
            raise NoSuchKey
        if len(mine) > 1:
            raise AmbiguousKey(f"key.name: {len(mine)} keys have this name; use kid")
        return _only_one(mine[0])

    def has_name(self, name: str) -> bool:
        """Whether there is a key of that name, whoever may use it: to be told only to who may use all of that name."""
        return name in self._by_name

    def all_of(self, app: App) -> list[Sobject]:
        """The keys that the app may use, by kid."""
        mine = [s for s in self._view(app).by_kid.values() if not s.contested]
        return sorted(mine, key=lambda sobject: sobject.info.kid)

    def kinds(self) -> dict[str, int]:
        """How many keys there are of each kind, the most first."""
        counts = Counter(sobject.info.kind for sobject in self._by_kid.values() if not sobject.contested)
        return dict(sorted(counts.items(), key=lambda kind: (-kind[1], kind[0])))

    def problems(self) -> Iterator[str]:
        """What an operator should know: keys that cannot be told apart."""
        for kid, sobject in self._by_kid.items():
            if sobject.contested:
                yield f"kid {kid} is borne by more than one key: none of them is used"
        for name, sobjects in self._by_name.items():
            if len(sobjects) > 1:
                yield f"{len(sobjects)} keys are named '{name}': they are used by kid only"

    def spared(self, failing: Collection[TokenPool]) -> frozenset[TokenPool]:
        """Those of the failing tokens that have keys, all of which are also on tokens that do not fail."""
        missed: set[TokenPool] = set()
        for sobject in self._by_kid.values():
            homes = {route.pool for route in sobject.routes}
            if homes.issubset(failing):
                missed |= homes
        return frozenset(pool for pool in failing if self._told.get(pool) and pool not in missed)

    def forget_callers(self) -> None:
        """Other apps call from now on. Views of what they may use are kept until the next time, if they are used."""
        self.version += 1
        self._views, self._views_by_scope, self._views_before = {}, {}, self._views_by_scope

    def _rebuild(self) -> None:
        self.version += 1
        self._by_kid, self._by_name, self._views, self._views_by_scope, self._views_before = {}, {}, {}, {}, {}
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

    def _view(self, app: App) -> _View:
        """The keys that the app may use; apps that may use the same have one view."""
        view = self._views.get(app)
        if view is None:
            scope = app.grant.scope
            view = self._views_by_scope.get(scope) or self._views_before.pop(scope, None) or self._look(app.grant)
            self._views[app] = self._views_by_scope[scope] = view
        return view

    def _look(self, grant: Grant) -> _View:
        by_kid = {kid: s for kid, s in self._by_kid.items() if grant.covers(s.info.name, kid)}
        by_name: dict[str, list[Sobject]] = {}
        for name, sobjects in self._by_name.items():
            mine = [s for s in sobjects if grant.covers(name, s.info.kid)]
            if mine:
                by_name[name] = mine
        return _View(by_kid, by_name)


def _only_one(sobject: Sobject) -> Sobject:
    if sobject.contested:
        raise AmbiguousKey(f"key: more than one key has the kid {sobject.info.kid}")
    return sobject


def is_kid(text: str) -> bool:
    """Whether it looks like a kid, in any case."""
    return _KID.fullmatch(text.lower()) is not None


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
