"""A challenger beside the champion that it wants to succeed: unheard, or with a share of the requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from refit_serving.rows.loaded_model import Served
from refit_serving.rows.request import Asked
from refit_serving.traffic.draws import drawn


@dataclass(frozen=True, slots=True)
class Trial:
    """What a challenger may do. It ends with the generation of the champion that it stands beside."""

    served: Served
    """The challenger; its generation is the champion's."""
    role: Literal["shadow", "canary"]
    share: float
    """Of the requests, that it answers; 0 for a shadow."""

    def draws(self, asked: Asked) -> bool:
        """Tells whether a request is the challenger's to answer: all of its rows go where the first one goes.

        Args:
            asked: The request.

        Returns:
            The same for every request whose first row has that key; without a key, by the request id. Another version
            draws anew.
        """
        challenger = self.served
        draw = f"{challenger.project} {challenger.version}"
        return self.role == "canary" and drawn(draw, _name(challenger.key, asked), self.share)


def _name(key: tuple[str, ...], asked: Asked) -> str:
    sent = asked.rows.others
    cells = [sent[name][0].as_py() for name in key if name in sent]
    known = bool(key) and len(cells) == len(key) and None not in cells
    return "\0".join(map(str, cells)) if known else asked.request_id
