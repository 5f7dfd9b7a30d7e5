"""``talweg explain`` and ``talweg cache``: what the native engine makes of a network, and where it keeps it."""

from __future__ import annotations

from typing import Annotated

import typer

from talweg.cli.inspecting import Json, Run
from talweg.cli.output import Output, reporting

cache = typer.Typer(name="cache", help="The programs that were compiled before.", no_args_is_help=True)


def explain(
    run: Run,
    c: Annotated[
        bool, typer.Option("--c", help="The C of a training step, as the native engine compiles it on this machine.")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="The most examples a step that it is written for.")] = 32,
) -> None:
    """Show how a run's model is trained: one step as a list of operations, or as C.

    [bold]Examples[/bold]

    talweg explain runs/digits-dropout-20260102-030405

    talweg explain --c runs/digits-dropout-20260102-030405 > step.c
    """
    output = Output(quiet=True)
    with reporting(output):
        from talweg.graph import to_text
        from talweg.train.run_folder import trained_model

        model, _ = trained_model(run)
        print(model.native_source(batch_size) if c else to_text(model.program("train", model.usual_form())))


@cache.command()
def info(json: Json = False) -> None:
    """Show where compiled programs are kept, and how many."""
    output = Output(json)
    with reporting(output):
        from talweg.engines.native import cache as objects
        from talweg.engines.native import compilers

        found, entries = compilers.find(), objects.entries()
        folder, size = objects.cache_folder(), sum(e.size for e in entries)
        output.result(
            {
                "folder": str(folder),
                "objects": len(entries),
                "bytes": size,
                "most_objects": objects.MOST_OBJECTS,
                "most_bytes": objects.MOST_BYTES,
                "compiler": None if found is None else list(found.command),
            }
        )
        output.tell("folder", str(folder))
        most = f"at most {objects.MOST_OBJECTS} and {_megabytes(objects.MOST_BYTES)}"
        output.tell("objects", f"{len(entries)}, {_megabytes(size)} ({most}; those used longest ago go first)")
        output.tell("compiler", compilers.complaint() if found is None else found.version.splitlines()[0])


@cache.command()
def clear(json: Json = False) -> None:
    """Remove all compiled programs. They are compiled again when they are needed; nothing is lost."""
    output = Output(json)
    with reporting(output):
        from talweg.engines.native import cache as objects

        folder = objects.cache_folder()
        count, size = objects.clear()
        output.result({"folder": str(folder), "objects": count, "bytes": size})
        output.say(f"Removed {count} compiled programs, {_megabytes(size)}, from {folder}")


def _megabytes(size: int) -> str:
    """
    >>> _megabytes(3_400_000)
    '3.4 MB'
    """
    return f"{size / 1e6:.1f} MB"
