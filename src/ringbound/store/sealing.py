"""Seals over batches of records, so that one that is changed or dropped afterwards is found and named.

A seal is the root of a Merkle tree over the digests of its records (RFC 9162, section 2.1), and that of the seal before it.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ringbound.store.records import Prediction

ENCODED = json.JSONEncoder(sort_keys=True).encode


@dataclass(frozen=True)
class Seal:
    """One seal: the `number`th of its `chain`, which is what one process wrote; `leaves` are its records' ids and digests."""

    seal: int
    chain: str
    number: int
    previous: str
    root: str
    made_at: int
    leaves: str

    @cached_property
    def digests(self) -> dict[str, str]:
        """The digest of each record, by its id; none where what the seal holds is damaged."""
        try:
            return {str(name): bytes.fromhex(found).hex() for name, found in json.loads(self.leaves)}
        except (ValueError, TypeError):
            return {}

    @cached_property
    def sound(self) -> bool:
        """Whether the root is that of the leaves and of the seal before."""
        try:
            return self.root == seal_root(self.previous, list(self.digests.values()))
        except ValueError:
            return False


def digest(prediction: Prediction) -> str:
    """Return a SHA-256 over every bit of a record, 64 hex digits."""
    values = vars(prediction) | {"vector": prediction.vector.hex()}
    if prediction.propensity == 1.0:  # as of those from before it was recorded
        del values["propensity"]
    if prediction.answers is None:
        del values["answers"]
    else:
        values["answers"] = prediction.answers.hex()
    return hashlib.sha256(ENCODED(values).encode()).hexdigest()


def seal_root(previous: str, digests: Sequence[str]) -> str:
    """Return the root that seals records of these digests after the root `previous`, 64 hex digits."""
    return _node(bytes.fromhex(previous), _root([_leaf(one) for one in digests])).hex()


def inclusion(previous: str, digests: Sequence[str], place: int) -> list[tuple[str, str]]:
    """Return what has to be hashed, in order, with the record at `place` to come to the root: its side and its hash.

    >>> digests = [hashlib.sha256(bytes([n])).hexdigest() for n in range(5)]
    >>> proof = inclusion("00" * 32, digests, 3)
    >>> includes(digests[3], proof, seal_root("00" * 32, digests)), includes(digests[2], proof, seal_root("00" * 32, digests))
    (True, False)
    """
    return [*_path([_leaf(one) for one in digests], place), ("left", previous)]


def includes(record: str, proof: Sequence[tuple[str, str]], root: str) -> bool:
    """Return whether a record of this digest is under the root, by its proof."""
    found = _leaf(record)
    for side, other in proof:
        found = _node(bytes.fromhex(other), found) if side == "left" else _node(found, bytes.fromhex(other))
    return found.hex() == root


def _leaf(record: str) -> bytes:
    return hashlib.sha256(b"\x00" + bytes.fromhex(record)).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _half(size: int) -> int:
    """Return the largest power of two below a size."""
    return 1 << (size - 1).bit_length() - 1


def _root(leaves: Sequence[bytes]) -> bytes:
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256().digest()
    half = _half(len(leaves))
    return _node(_root(leaves[:half]), _root(leaves[half:]))


def _path(leaves: Sequence[bytes], place: int) -> list[tuple[str, str]]:
    if len(leaves) < 2:
        return []
    half = _half(len(leaves))
    if place < half:
        return [*_path(leaves[:half], place), ("right", _root(leaves[half:]).hex())]
    return [*_path(leaves[half:], place - half), ("left", _root(leaves[:half]).hex())]
