"""How commands speak: to people in words and tables, to programs in one JSON object, and of errors on one screen.

Whatever is shown goes through `talweg.escapes`: names from files steer no terminal.
With --json everything for people goes to stderr, and stdout holds the one object, also when the command fails.
"""

from __future__ import annotations

import json
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import typer

from talweg.cli.options import as_option
from talweg.cli.signals import Ended, signals_as_exceptions
from talweg.errors import InUseError, MissingExtraError, RunFolderError, TalwegError, TalwegWarning, speaking
from talweg.escapes import in_json, on_one_line, visible

FAILED, WRONG_USE, INTERRUPTED = 1, 2, 130  # exit codes; 0 is for what went well, 130 for Ctrl-C as in any shell
LONGEST = 3000  # characters of an error: more would not fit on one screen
PIPE_WIDTH = 120  # columns of a table that nobody's terminal limits


class Output:
    """Where a command prints. `quiet` leaves out all that is not the result or an error."""

    def __init__(self, as_json: bool = False, quiet: bool = False) -> None:
        from rich.console import Console

        self.as_json, self.quiet = as_json, quiet
        stream = sys.stderr if as_json else sys.stdout
        self.is_terminal = stream.isatty()
        self.console = Console(
            file=stream,
            highlight=False,
            emoji=False,
            soft_wrap=not self.is_terminal,
            width=None if self.is_terminal else PIPE_WIDTH,
        )

    def say(self, text: str = "", style: str | None = None) -> None:
        """A line of text, as it is: brackets in file names are not markup."""
        if not self.quiet:
            self.console.print(visible(text), style=style, markup=False)

    def tell(self, label: str, *texts: str) -> None:
        """A label and one or more lines beside it."""
        if self.quiet:
            return
        texts = tuple(map(visible, texts))
        if not self.is_terminal:
            for i, text in enumerate(texts):
                self.console.print(f"{label if i == 0 else '':<10}{text}", markup=False)
            return
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 2))
        grid.add_column(min_width=8, style="cyan")
        grid.add_column()
        for i, text in enumerate(texts):
            grid.add_row(label if i == 0 else "", Text(text))
        self.console.print(grid)

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[str]], numeric: Iterable[int] = ()) -> None:
        """A table whose cells may wrap; `numeric` columns are set to the right and do not."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        numeric = set(numeric)
        made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
        for i, heading in enumerate(headings):
            made.add_column(
                Text(on_one_line(heading)), justify="right" if i in numeric else "left", no_wrap=i in numeric or i == 0
            )
        for row in rows:
            made.add_row(*(Text(on_one_line(cell)) for cell in row))
        self.console.print(made)

    def result(self, value: dict[str, Any]) -> None:
        """The one JSON object, with --json; nothing otherwise."""
        if self.as_json:
            print(in_json(json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)), flush=True)

    def error(self, kind: str, message: str, **more: Any) -> None:
        """An error, on stderr, and with --json as the object too."""
        message = visible(message if len(message) <= LONGEST else message[:LONGEST] + " ...")
        if self.as_json:
            self.result({"error": {"type": kind, "message": message, **more}})
        if not sys.stderr.isatty():
            print(f"error: {message}", file=sys.stderr, flush=True)
            return
        from rich.console import Console
        from rich.panel import Panel
        from rich.text import Text

        title = kind if kind in ("Interrupted", "Diverged") else "Error"
        Console(stderr=True).print(Panel(Text(message), title=title, title_align="left", border_style="red"))


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """A warning, which Python would show with a file and a line of ours, becomes a line on stderr."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", TalwegWarning)
        warnings.showwarning = lambda message, *where: print(
            f"note: {visible(str(message))}", file=sys.stderr, flush=True
        )
        yield


@contextmanager
def reporting(output: Output, if_interrupted: Callable[[], str] = lambda: "Interrupted.") -> Iterator[None]:
    """Turns what was raised on purpose into a message and an exit code; a mistake of ours keeps its traceback."""
    try:
        with warnings_as_notes(), speaking(as_option), signals_as_exceptions():
            yield
    except Ended as ended:
        with suppress(OSError):  # the terminal may be gone
            output.error("Ended", if_interrupted())
        raise typer.Exit(ended.exit_code) from None
    except KeyboardInterrupt:
        output.error("Interrupted", if_interrupted())
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:  # whoever read our output left, for instance `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(FAILED) from None
    except MemoryError as error:
        output.error("MemoryError", f"there is not enough memory for this ({error or 'the system gave none'})")
        raise typer.Exit(FAILED) from None
    except (TalwegError, OSError) as error:
        output.error(type(error).__name__, _message(error))
        raise typer.Exit(exit_code(error)) from None


def exit_code(error: BaseException) -> int:
    """2 for what the user can mend by asking otherwise; 1 for what the machine refused."""
    if isinstance(error, RunFolderError | InUseError | MissingExtraError):
        return FAILED
    asked_wrongly = TalwegError | FileNotFoundError | IsADirectoryError | NotADirectoryError
    return WRONG_USE if isinstance(error, asked_wrongly) else FAILED


def _message(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    return str(error)


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it: numbers that are not finite become null."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def scores(values: dict[str, Any]) -> str:
    """``accuracy 0.9806   loss 0.0762``: what matters most first."""
    from talweg.train.callbacks.progress import number

    order = sorted(values, key=lambda name: name == "loss")
    return "   ".join(f"{name} {number(values[name])}" for name in order if values[name] is not None)


def rates(rate: Any, steps: int) -> str:
    """A learning rate in words: a number, or where a schedule begins and where it is after so many steps."""
    from talweg.optim.schedules import Schedule

    if isinstance(rate, Schedule):
        return f"learning rate {rate(0):.3g} to {rate(steps):.3g} by {type(rate).__name__}"
    return f"learning rate {rate if isinstance(rate, float) else 'by a function'}"
