"""A challenger beside the champion that it wants to succeed: unheard, or with a share of the requests.

Who is drawn: a share of all names, the same ones whenever and wherever one asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

from refit_serving.rows.loaded_model import LoadedModel
from refit_serving.rows.request import PredictionRequest


@dataclass(frozen=True, slots=True)
class ActiveChallenger:
    """What a challenger may do. It ends with the generation of the champion that it stands beside."""

    served: LoadedModel
    """The challenger; its generation is the champion's."""
    role: Literal["shadow", "canary"]
    share: float
    """Of the requests, that it answers; 0 for a shadow."""

    def draws(self, asked: PredictionRequest) -> bool:
        """Tells whether a request is the challenger's to answer: all of its rows go where the first one goes.

        Args:
            asked: The request.

        Returns:
            The same for every request whose first row has that key; without a key, by the request id. Another version
            draws anew.
        """
        challenger = self.served
        draw = f"{challenger.project} {challenger.version}"
        return self.role == "canary" and in_traffic_share(draw, _routing_key(challenger.key, asked), self.share)


def _routing_key(key: tuple[str, ...], asked: PredictionRequest) -> str:
    sent = asked.rows.others
    cells = [sent[name][0].as_py() for name in key if name in sent]
    known = bool(key) and len(cells) == len(key) and None not in cells
    return "\0".join(map(str, cells)) if known else asked.request_id


BITS = 64


def in_traffic_share(draw: str, name: str, share: float) -> bool:
    """Tells whether a name is among the share that is drawn.

    A hash of both is taken for a number between 0 and 1: it is nearly uniform, and another draw asks another hash, so
    that whoever was drawn once is not drawn every time (Kohavi, Tang and Xu, Trustworthy Online Controlled
    Experiments, 2020, chapter 4).

    Args:
        draw: Names the draw.
        name: Who may be drawn.
        share: Of all names, from 0 to 1.

    Returns:
        The same answer for the same three.

    Example:
        >>> sum(drawn("parcels 7", str(parcel), 0.1) for parcel in range(1_000))
        97
    """
    digest = blake2b(f"{draw}\0{name}".encode(), digest_size=BITS // 8).digest()
    return int.from_bytes(digest, "big") < share * 2.0**BITS
