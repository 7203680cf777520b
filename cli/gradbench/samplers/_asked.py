"""What a sampler says of options, asked in another process where its code isn't gradbench's.

That process is ``python -m gradbench.samplers._asked``: it reads one question as JSON, and writes
one answer.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from gradbench import samplers
from gradbench.errors import SamplerError
from gradbench.records import from_plain
from gradbench.samplers import Source

TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Chosen:
    """Options as a sampler takes them.

    Attributes:
        options: all of them, defaults filled in; empty where some are wrong.
        defaults: the names of those that have their default.
        errors: what is wrong, as pydantic tells it.
    """

    options: Mapping[str, Any]
    defaults: tuple[str, ...]
    errors: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """A sampler, as far as it can be told without running it.

    Attributes:
        summary: one line.
        uses_gradient: whether it evaluates gradients.
        schema: the JSON Schema of its options.
        remedy: the command that installs what it lacks, or None.
        chosen: what it makes of each set of options that was asked for.
    """

    summary: str
    uses_gradient: bool
    schema: Mapping[str, Any]
    remedy: str | None
    chosen: tuple[Chosen, ...]

    @property
    def fields(self) -> list[str]:
        """The names of its options."""
        return list(self.schema["properties"])


def ask(source: Source, given: Sequence[Mapping[str, Any]] = ()) -> Asked:
    """Return what a sampler says of itself, and of sets of options.

    Raises:
        SamplerError: it can't be loaded, or is no sampler.
    """
    if source.is_shipped:
        return _answer(source.use, source.digest, given)
    told = _told(source)
    new = [options for options in given if _key(options) not in told.chosen]
    if new or told.asked is None:
        told.asked = _elsewhere(source, new)
        # A config is read with defaults left out, and planned with all of them written out.
        answers, filled = told.asked.chosen[: len(new)], told.asked.chosen[len(new) :]
        told.chosen |= {_key(options): one for options, one in zip(new, answers, strict=True)}
        told.chosen |= {_key(one.options): one for one in filled}
    return replace(told.asked, chosen=tuple(told.chosen[_key(options)] for options in given))


@dataclass(slots=True)
class _Told:
    """What a sampler's process has told so far: starting one takes as long as a small run.

    Attributes:
        asked: the last answer, None before the first.
        chosen: what became of sets of options, by ``_key``.
    """

    asked: Asked | None = None
    chosen: dict[str, Chosen] = field(default_factory=dict)


@lru_cache(maxsize=64)
def _told(_source: Source) -> _Told:
    return _Told()


def _key(options: Mapping[str, Any]) -> str:
    return json.dumps(options, sort_keys=True)


def _elsewhere(source: Source, given: Sequence[Mapping[str, Any]]) -> Asked:
    """Return the answer of a process: for each set of options, then for those with all defaults."""
    question = json.dumps({"use": source.use, "digest": source.digest, "given": given})
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-m", __name__],
            input=question,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SamplerError(
            f"{source.use}: doesn't say what its options are within {TIMEOUT_S:g} s"
        ) from None
    if ended.returncode != 0 or not ended.stdout:
        said = "".join(f": {line}" for line in ended.stderr.strip().splitlines()[-1:])
        raise SamplerError(
            f"{source.use}: its process ended with {ended.returncode}, and told no options{said}"
        )
    answer = json.loads(ended.stdout)
    if "error" in answer:
        raise SamplerError(answer["error"])
    return from_plain(Asked, answer)


def _answer(use: str, digest: str, given: Sequence[Mapping[str, Any]]) -> Asked:
    sampler = samplers.load(use, digest)
    chosen = []
    for options in given:
        try:
            parsed = sampler.options(**options)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=True)
            chosen.append(Chosen({}, (), tuple(dict(one) for one in found)))
        else:
            named = parsed.named
            defaults = tuple(name for name in parsed.at_default if name in named)
            chosen.append(Chosen(named, defaults))
    return Asked(
        sampler.summary,
        sampler.uses_gradient,
        sampler.options.model_json_schema(),
        samplers.remedy(use),
        tuple(chosen),
    )


def main() -> None:
    """Answer the question on stdin; what the sampler's code prints goes to stderr."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    question = json.load(sys.stdin)
    try:
        use, digest = question["use"], question["digest"]
        asked = _answer(use, digest, question["given"])
        filled = [one.options for one in asked.chosen if not one.errors]
        again = (one for one in _answer(use, digest, filled).chosen if not one.errors)
        answer = json.dumps(
            {
                "summary": asked.summary,
                "uses_gradient": asked.uses_gradient,
                "schema": asked.schema,
                "remedy": asked.remedy,
                "chosen": [
                    {"options": one.options, "defaults": one.defaults, "errors": one.errors}
                    for one in (*asked.chosen, *again)
                ],
            },
            default=str,  # an exception of a validator's, which pydantic hands on
        )
    except SamplerError as error:
        answer = json.dumps({"error": str(error)})
    out.write(answer)
    out.flush()


if __name__ == "__main__":
    main()
