"""What a block sends, as bytes that any machine can read."""

import json
import zlib
from dataclasses import dataclass
from typing import Literal

from gradbench import records
from gradbench.measure.density_check import DensityCheck
from gradbench.measure.result import CellResult

QUICKLY = 1  # zlib's level: a quarter of the size in a millisecond


@dataclass(frozen=True, slots=True)
class Message:
    """What a block sends.

    Attributes:
        block: its digits.
        kind: what it is.
        content: a result or a density check as compressed JSON, or a file with draws.
        name: of that file.
    """

    block: str
    kind: Literal["cell", "check", "draws"]
    content: bytes
    name: str = ""

    @classmethod
    def of(cls, block: str, found: CellResult | DensityCheck) -> "Message":
        """Return the message of something found."""
        if isinstance(found, CellResult):
            return cls(block, "cell", _packed(found.to_text()))
        return cls(block, "check", _packed(records.to_json(found)))

    @property
    def found(self) -> CellResult | DensityCheck:
        """The result or the density check that it brings."""
        plain = json.loads(zlib.decompress(self.content))
        if self.kind == "cell":
            return CellResult.from_json(plain)
        return records.from_plain(DensityCheck, plain)


def _packed(text: str) -> bytes:
    return zlib.compress(text.encode(), QUICKLY)
