"""The keys of those who may ask a service: of each, what it may do, and a digest by which it is known again."""

import hashlib
import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa

from ringbound.errors import StoreError
from ringbound.store.clock import WALL
from ringbound.store.reach import Reached
from ringbound.store.schema import KEYS

ROLES = ("predict", "ingest", "operate")
"""What a key may do: ask; send events and outcomes; look at what runs, and at what others were told."""
MARK = "rb_"
"""What every key begins with, so that one that lies where it should not is found."""


@dataclass(frozen=True)
class Key:
    """A key as it is kept: `id` is its open part, `digest` a SHA-256 of all of it; `rate` is requests a second, 0 for any."""

    id: str
    name: str
    roles: str
    digest: str
    rate: float
    made_at: int
    revoked_at: int | None

    def is_of(self, token: str) -> bool:
        """Whether a token is this key; takes as long for one that is not."""
        return hmac.compare_digest(self.digest, hashlib.sha256(token.encode()).hexdigest())


class KeyRing(Reached):
    """The keys, of a store that is reached."""

    def all_keys(self) -> list[Key]:
        """Return all keys, also those that are revoked, as they were made; any thread may ask."""
        with self._looking() as connection:
            return [Key(*row) for row in connection.execute(sa.select(KEYS).order_by(KEYS.c.made_at, KEYS.c.id))]

    def add_key(self, name: str, roles: Collection[str], rate: float = 0.0) -> str:
        """Make a key and return it: it is not kept, and cannot be told again.

        >>> import tempfile
        >>> from ringbound.store import Store
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     store = Store(f"sqlite:///{folder}/store.db")
        ...     token = store.add_key("shop", ["predict"])
        ...     (key,) = store.all_keys()
        >>> key.name, key.is_of(token), key.is_of(token[:-1]), token in repr(key)
        ('shop', True, False, False)
        """
        if wrong := sorted(set(roles) - set(ROLES)) or not roles:
            raise StoreError(f"keys: expected roles out of {', '.join(ROLES)}; got {wrong if roles else 'none'}")
        if not (name.strip() and len(name) <= 100 and name.isprintable()):
            raise StoreError(f"keys: expected a name of 1 to 100 characters that can be printed; got {name!r}")
        if not 0 <= rate < 1e6:
            raise StoreError(f"keys: expected a rate from 0 to a million requests a second; got {rate}")
        token = f"{MARK}{secrets.token_hex(6)}_{secrets.token_urlsafe(32)}"
        digest = hashlib.sha256(token.encode()).hexdigest()
        key = Key(id_of(token), name, " ".join(r for r in ROLES if r in roles), digest, rate, WALL.now(), None)
        with self._writing() as connection:
            taken = sa.select(KEYS.c.id).where(KEYS.c.name == name, KEYS.c.revoked_at == None)  # noqa: E711
            if connection.scalar(taken):
                raise StoreError(f"keys: expected a name that is not taken; there is a key {name!r}; revoke it first")
            connection.execute(KEYS.insert(), vars(key))
        return token

    def revoke_key(self, name: str) -> None:
        """Revoke the key of a name; `StoreError` where there is none that holds."""
        with self._writing() as connection:
            holds = (KEYS.c.name == name, KEYS.c.revoked_at == None)  # noqa: E711
            if not connection.execute(KEYS.update().where(*holds).values(revoked_at=WALL.now())).rowcount:
                raise StoreError(f"keys: expected the name of a key that holds; there is none {name!r}; see keys list")


def id_of(token: str) -> str:
    """Return the open part of a token; nothing where it is none."""
    mark, _, rest = token.partition(MARK)
    return "" if mark else rest.partition("_")[0]
