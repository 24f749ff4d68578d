"""What a descriptor may not say, beyond the types of its fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from reconstruction_pipeline.external.descriptor import Program
from reconstruction_pipeline.external.filling import placeholders
from reconstruction_pipeline.external.formats import ALWAYS, READS, VALUES, WRITES

SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "fish", "csh", "tcsh"})


def problem_of(program: Program) -> str:
    """What is wrong, as the rest of a sentence that names the file; "" if nothing is."""
    return next(_problems(program), "")


def _problems(program: Program) -> Iterator[str]:
    yield from _formats(program)
    yield from _commands(program)
    yield from _patterns(program)
    if program.run_in == "container" and program.container is None:
        yield "run_in is container, but there is no [container] with an image; add it"
    for mount in program.container.mounts if program.container else ():
        if not re.fullmatch(r"/[^:]*:/[^:]+", mount):
            yield f"the mount '{mount}' is not /host/path:/path/inside; correct it"
    if program.frame and program.stage != "training":
        yield "frame is for training programs; leave it out"


def _formats(program: Program) -> Iterator[str]:
    reads, writes = READS[program.stage], WRITES[program.stage]
    for name, form in program.reads.items():
        if form not in reads.get(name, ()):
            known = ", ".join(f"{key} ({' or '.join(forms)})" for key, forms in reads.items())
            yield f"a {program.stage} program cannot read {name} as {form}; it can read {known}"
    for place, form in program.writes.items():
        if form not in writes:
            yield f"a {program.stage} program cannot write {form}; it can write {', '.join(writes)}"
        parts = PurePosixPath(place)
        if parts.is_absolute() or ".." in parts.parts:
            yield f"writes names '{place}', which is not inside the output folder; give a path in it"
    if len(set(program.writes.values())) < len(program.writes):
        yield "writes names the same format twice; name the file that counts"


def _commands(program: Program) -> Iterator[str]:
    if bool(program.argv) == bool(program.steps):
        yield "give either argv or [[steps]]"
        return
    known = {*program.reads, *ALWAYS, *VALUES[program.stage], *program.parameters}
    words = [word for command in program.commands for word in _flat(command)]
    more = [*program.environment.values(), *(program.resume.argv if program.resume else ()), program.watch.total]
    unknown = {name for word in (*words, *more) for name in placeholders(word)} - known - {"checkpoint"}
    if unknown:
        yield f"there is no placeholder {{{min(unknown)}}} here; there are {', '.join(sorted(known))}"
    told = [*words, *program.environment.values()]
    if not any("{output}" in word for word in told):
        yield "the command does not say where {output} goes; add it"
    if unused := [name for name in program.reads if not any(f"{{{name}}}" in word for word in told)]:
        yield f"it reads {unused[0]}, but the command does not say where {{{unused[0]}}} goes; add it"
    for command in program.commands:
        first = command[0]
        if not isinstance(first, str):
            yield "the program's name, the first word, cannot be optional"
        elif PurePosixPath(first).name in SHELLS and "-c" in _flat(command):
            yield f"'{first} -c' is a shell; name the program itself, or put the commands into a script"


def _patterns(program: Program) -> Iterator[str]:
    watch = program.watch
    wanted = [("curve", watch.curve, {"step", "loss"})]
    wanted += [(f"metrics.{name}", pattern, {"value"}) for name, pattern in watch.metrics.items()]
    for name, pattern, groups in [*wanted, ("progress", watch.progress, set[str]())]:
        if not pattern:
            continue
        try:
            found = set(re.compile(pattern).groupindex)
        except re.error as error:
            yield f"watch.{name} is no regular expression ({error}); correct it"
            continue
        if missing := groups - found:
            yield f"watch.{name} has no group (?P<{min(missing)}>…); add it"
        counted = "done" in found and ("total" in found or bool(watch.total))
        if name == "progress" and "percent" not in found and not counted:
            yield "watch.progress needs the group percent, or done and total"


def _flat(command: tuple[str | tuple[str, ...], ...]) -> list[str]:
    return [word for item in command for word in ((item,) if isinstance(item, str) else item)]
