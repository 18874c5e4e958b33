"""The challenger beside a champion, as a shadow or a canary, and the hash-based split of the canary's requests."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

from refit_serving.rows.loaded_model import LoadedModel
from refit_serving.rows.request import PredictionRequest

BITS = 64


@dataclass(frozen=True, slots=True)
class ActiveChallenger:
    """A challenger that predicts beside one generation of the champion, and ends with it."""

    model: LoadedModel
    """The challenger; its generation is the champion's."""
    role: Literal["shadow", "canary"]
    share: float
    """The share of the requests that a canary answers, from 0 to 1; 0 for a shadow."""

    def takes(self, request: PredictionRequest) -> bool:
        """Tells whether the challenger answers a request in the champion's place.

        Args:
            request: The request. All its rows go where the first one goes.

        Returns:
            The same for every request with the same key in its first row, or, without a key, the same request id.
            Another version of the challenger takes other requests.
        """
        if self.role != "canary":
            return False
        seed = f"{self.model.project} {self.model.version}"
        return in_traffic_share(seed, _routing_key(self.model.key, request), self.share)


def in_traffic_share(seed: str, name: str, share: float) -> bool:
    """Tells whether a name belongs to a random share of all names.

    A hash of seed and name serves as a number between 0 and 1. It is nearly uniform, and independent between seeds, so
    that the same names are not chosen every time (Kohavi, Tang and Xu, Trustworthy Online Controlled Experiments, 2020,
    chapter 4).

    Args:
        seed: The seed of the split.
        name: The name, such as the key of a row.
        share: The share of all names, from 0 to 1.

    Returns:
        The same for the same three arguments, on every machine.

    Example:
        >>> sum(in_traffic_share("parcels 7", str(parcel), 0.1) for parcel in range(1_000))
        97
    """
    digest = blake2b(f"{seed}\0{name}".encode(), digest_size=BITS // 8).digest()
    return int.from_bytes(digest, "big") < share * 2.0**BITS


def _routing_key(key: tuple[str, ...], request: PredictionRequest) -> str:
    """Gives the key of the first row, or the request id where a part of the key is missing."""
    columns = request.rows.others
    cells = [columns[name][0].as_py() for name in key if name in columns]
    is_complete = bool(key) and len(cells) == len(key) and None not in cells
    return "\0".join(map(str, cells)) if is_complete else request.request_id
