"""What a block sends, as bytes that any machine can read."""

import json
import zlib
from dataclasses import dataclass
from typing import Any, Literal

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
        """Return the message of something found; a result that can't be sent is a failed one."""
        kind: Literal["cell", "check"] = "check" if isinstance(found, DensityCheck) else "cell"
        try:
            text = _text(found)
        except (TypeError, ValueError) as error:
            assert isinstance(found, CellResult)
            text = _text(CellResult(found.cell, "failed", f"its result can't be sent: {error}"))
        return cls(block, kind, zlib.compress(text.encode(), QUICKLY))

    @property
    def found(self) -> CellResult | DensityCheck:
        """The result or the density check that it brings."""
        plain = json.loads(zlib.decompress(self.content))
        if self.kind == "cell":
            return CellResult.from_json(plain)
        return records.from_plain(DensityCheck, plain)

    def to_plain(self) -> dict[str, Any]:
        """Return it as a map of text and bytes."""
        return {"block": self.block, "kind": self.kind, "content": self.content, "name": self.name}


def _text(found: CellResult | DensityCheck) -> str:
    if isinstance(found, CellResult):
        return records.as_text(found.to_json())
    return records.to_json(found)
