"""``talweg explain``, ``profile`` and ``cache``: what the native engine makes, how its time is spent, where it lies."""

from __future__ import annotations

from typing import Annotated

import typer

from talweg.cli.inspecting import Json, Run
from talweg.cli.output import Output, reporting

cache = typer.Typer(name="cache", help="The programs that were compiled before.", no_args_is_help=True)
LEAST = 0.005  # of a step, below which kernels are summed up


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


def profile(
    run: Run,
    batch_size: Annotated[int, typer.Option(min=1, help="Examples a step.")] = 32,
    threads: Annotated[
        int | None, typer.Option(min=1, help="How many share the work; by default as in training.", show_default=False)
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.01, help="How long to train a copy of the model for.")] = 1.0,
    json: Json = False,
) -> None:
    """Show where the time of a training step goes on the native engine, kernel by kernel.

    Trains a copy of the run's model on random numbers, with counters in its C. The run stays as it is.

    [bold]Example[/bold]

    talweg profile runs/digits-dropout-20260102-030405 --threads 1
    """
    output = Output(json)
    with reporting(output):
        from talweg.train.run_folder import trained_model

        model, _ = trained_model(run)
        found = model.native_profile(batch_size=batch_size, seconds=seconds, threads=threads)
        laps = sorted(found.laps, key=lambda lap: -lap.microseconds)
        output.result(
            {
                "run": str(run),
                "batch_size": batch_size,
                **{"steps": found.steps, "threads": found.threads, "microseconds": found.microseconds},
                "kernels": [
                    {
                        **{"kernel": lap.kernel, "computes": lap.what, "multiplications": lap.multiplications},
                        **{"microseconds": lap.microseconds, "waited": lap.waited, "gflops": lap.gflops},
                    }
                    for lap in laps
                ],
            }
        )
        shown = [lap for lap in laps if lap.microseconds >= LEAST * found.microseconds]
        rows = []
        for lap in shown:
            share, speed = f"{lap.microseconds / found.microseconds:.1%}", f"{lap.gflops:.1f}" if lap.gflops else ""
            times = _microseconds(lap.microseconds), share, _microseconds(lap.waited)
            rows.append((lap.kernel, lap.what, *times, speed))
        output.table(("kernel", "computes", "µs", "of step", "waiting µs", "GFLOP/s"), rows, numeric=(2, 3, 4, 5))
        if rest := laps[len(shown) :]:
            output.say(f"and {len(rest)} others of together {_microseconds(sum(lap.microseconds for lap in rest))} µs")
        output.tell(
            "step",
            f"{_microseconds(found.microseconds)} µs for {batch_size} examples, of which a thread waits "
            f"{_microseconds(found.waited)}; mean of {found.steps:,} steps on {found.threads} threads",
        )


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


def _microseconds(value: float) -> str:
    """
    >>> _microseconds(1234.5), _microseconds(0.0456)
    ('1,234', '0.046')
    """
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}" if value < 1 else f"{value:.1f}"


def _megabytes(size: int) -> str:
    """
    >>> _megabytes(3_400_000)
    '3.4 MB'
    """
    return f"{size / 1e6:.1f} MB"
