"""Which C compiler there is, and which flags it understands: found by trying it on a small object, which is loaded.

What was found is written down beside the compiled objects, so that a later process need not start the compiler at all.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import importlib.util
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from talweg.disk.writing import written_whole
from talweg.engines.native import cache, runtime

NEEDED = ("-O2", "-std=gnu11", "-shared", "-fPIC", "-pthread", "-ffp-contract=fast")
WANTED = (  # each is dropped where a compiler does not know it
    "-fno-strict-aliasing",  # tensors of different types lie in the same memory one after the other
    # gcc 12 may write an address as 0 + offset, then takes the store for one through a null pointer and the kernel for
    # one without effect, and leaves out its call.
    "-fno-delete-null-pointer-checks",
    "-fno-math-errno",
    "-fno-trapping-math",
    # -O2 and these run as fast as -O3, and compile in half the time: most of that went to inlining every kernel into
    # one large function, and to copies of kernels for constant arguments.
    "-ftree-vectorize",
    "-fvect-cost-model=dynamic",
    "-fno-inline-functions-called-once",
    "--param=avoid-fma-max-bits=0",
    "-w",
)
X86, ARM = ("-march=native", "-mprefer-vector-width=512"), ("-mcpu=native",)  # 512 is the most: without AVX-512, less
TARGET = {"x86_64": X86, "amd64": X86, "aarch64": ARM, "arm64": ARM}  # by what `platform.machine` says
PROBE = (
    runtime.INCLUDES
    + """
typedef float vec __attribute__((vector_size(16)));
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int word;
int talweg_lanes(float *to)
{
    pthread_mutex_lock(&lock);
    atomic_fetch_add(&word, 1);
    pthread_mutex_unlock(&lock);
    *(vec *)to = *(vec *)to + __builtin_sqrtf(to[0]);
#if defined(__AVX512F__)
    return 16;
#elif defined(__AVX__)
    return 8;
#else
    return 4;
#endif
}
"""
)
GUARDED = """
exec 3<&0
"$@" 3<&- </dev/null &
compiler=$!
(read -r _ <&3; kill -KILL 0) &
guard=$!
wait $compiler
status=$?
kill -KILL $guard
exit $status
"""
"""Runs a command that does not outlive the process that started it, however that ends: the guard waits at the other end
of a pipe, hears when it is closed, and ends the whole group. (A signal at the parent's death, Linux's PR_SET_PDEATHSIG,
would reach neither what the compiler starts, nor would it wait for the process: it comes when the *thread* ends.)"""
SECONDS = 600.0  # that a compiler may take
LOOK = 0.003  # seconds between two looks whether it is done


@dataclass(frozen=True)
class Compiler:
    """A compiler that works: its command, the flags that it understands, how many float32 numbers a vector of this
    machine holds, and its version."""

    command: tuple[str, ...]
    flags: tuple[str, ...]
    lanes: int
    version: str

    @property
    def title(self) -> str:
        """``gcc 12.2``: what it is, whatever the command is called.

        >>> said = "cc (Debian 12.2.0-14) 12.2.0\\nCopyright (C) 2022 Free Software Foundation, Inc."
        >>> Compiler(("/usr/bin/cc",), (), 8, said).title
        'gcc 12.2'
        """
        name = "clang" if "clang" in self.version else "gcc" if "Free Software Found" in self.version else ""
        number = re.search(r"(?<![\w.-])\d+\.\d+", re.sub(r"\(.*?\)", "", self.version))
        return f"{name or Path(self.command[0]).stem} {number[0] if number else ''}".strip()

    @property
    def identity(self) -> str:
        """What an object depends on besides its source."""
        return "\0".join((*self.command, *self.flags, self.version, processor()))


def find() -> Compiler | None:
    """The first that works of $TALWEG_CC alone, or else cc, gcc, clang on the path and the ziglang wheel."""
    return _search(os.environ.get("TALWEG_CC", ""), os.environ.get("PATH", ""))[0]


def complaint() -> str:
    """Why `find` finds none, and what to do, in a sentence."""
    reasons = _search(os.environ.get("TALWEG_CC", ""), os.environ.get("PATH", ""))[1]
    what = "; ".join(reasons) if reasons else "none is on the path"
    return f"{what}: install gcc or clang, or `pip install 'talweg[compiler]'`"


@functools.cache
def _search(chosen: str, path: str) -> tuple[Compiler | None, tuple[str, ...]]:
    reasons = []
    for command in _candidates(chosen):
        try:
            return _known(command) or _tried(command), ()
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            named = f"TALWEG_CC={chosen}" if chosen else " ".join(command)
            reasons.append(f"{named} does not work ({error})")
    return None, tuple(reasons)


def _candidates(chosen: str) -> Iterator[tuple[str, ...]]:
    if chosen:
        yield tuple(shlex.split(chosen, posix=sys.platform != "win32"))
        return
    for name in ("cc", "gcc", "clang"):
        if path := shutil.which(name):
            yield (path,)
    wheel = importlib.util.find_spec("ziglang")
    if wheel is not None and wheel.origin is not None:
        yield (str(Path(wheel.origin).with_name("zig.exe" if sys.platform == "win32" else "zig")), "cc")


def _tried(command: tuple[str, ...]) -> Compiler:
    """The compiler of `command`, after it made an object that can be loaded. Raises `ValueError` with what it said."""
    needed = tuple(f for f in NEEDED if not _is_said(f, command))
    wanted = tuple(f for f in WANTED + TARGET.get(platform.machine().lower(), ()) if not _is_said(f, command))
    with cache.workplace() as folder:
        text, made = folder / "probe.c", folder / "probe.so"
        text.write_text(PROBE)
        flags = (*needed, *wanted)
        said = compile_file(command, flags, text, made)
        if said is not None:
            flags = (*needed, *(f for f in wanted if compile_file(command, (*needed, f), text, made) is None))
            said = compile_file(command, flags, text, made)
        if said is not None:
            raise ValueError(_short(said))
        four = (ctypes.c_float * 8)()
        aligned = ctypes.addressof(four) + -ctypes.addressof(four) % 16
        lanes = ctypes.CDLL(str(made)).talweg_lanes(ctypes.c_void_p(aligned))
    asked = subprocess.run([*command, "--version"], capture_output=True, text=True, errors="replace", check=False)
    found = Compiler(command, flags, lanes, asked.stdout)
    _write_down(found)
    return found


def _is_said(flag: str, command: tuple[str, ...]) -> bool:
    """Whether the command itself says how much to optimize, or for which processor.

    >>> [_is_said(flag, ("gcc", "-march=haswell")) for flag in ("-march=native", "-O2")]
    [True, False]
    """
    kinds = [("-O",), ("-march=", "-mcpu=")]
    return any(flag.startswith(kind) and any(own.startswith(kind) for own in command[1:]) for kind in kinds)


class Compilation:
    """The compiler at work on `text`, to make the shared object `made`: a process by itself, until `wait` or `end`."""

    def __init__(self, command: tuple[str, ...], flags: tuple[str, ...], text: Path, made: Path) -> None:
        self._made, self._said = made, text.with_suffix(".said")
        arguments = [*command, *flags, "-o", str(made), str(text), "-lm"]
        guard = [] if sys.platform == "win32" else ["/bin/sh", "-c", GUARDED, "talweg"]
        with open(self._said, "wb") as said:
            self._process = subprocess.Popen(
                [*guard, *arguments],
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=subprocess.STDOUT,
                env=_environment(text.parent),
                start_new_session=True,  # a terminal's Ctrl-C is for us; `end` reaches what the compiler has started
            )
        _at_work.add(self)
        self._deadline = time.monotonic() + SECONDS

    @property
    def is_over(self) -> bool:
        return self._process.poll() is not None

    def wait(self) -> str | None:
        """What the compiler complained of, or None: it worked. Whatever is raised in the wait (Ctrl-C) ends it."""
        try:
            while not self.is_over:
                if time.monotonic() > self._deadline:
                    raise subprocess.TimeoutExpired(self._process.args, SECONDS)
                time.sleep(LOOK)  # and not Popen.wait, which after Ctrl-C goes on for a quarter of a second
        except BaseException:
            self.end()
            raise
        self.let_go()
        if self._process.returncode == 0 and self._made.exists():
            return None
        return self._said.read_text(errors="replace").strip() or f"exit status {self._process.returncode}"

    def end(self) -> None:
        """Stops it, and what it has started."""
        if self.is_over:
            self.let_go()
            return
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        else:
            self._process.kill()
        self._process.wait()
        self.let_go()

    def let_go(self) -> None:
        """Closes this process's end of the pipe: nobody need be told when it ends."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()


_at_work: weakref.WeakSet[Compilation] = weakref.WeakSet()


def _left_to_the_parent() -> None:
    """The child of a fork closes its copies: else a compiler would live as long as the last child."""
    for compilation in list(_at_work):
        compilation.let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_left_to_the_parent)


def compile_file(command: tuple[str, ...], flags: tuple[str, ...], text: Path, made: Path) -> str | None:
    """Compiles `text` to the shared object `made`. Answers what the compiler complained of, or None: it worked."""
    return Compilation(command, flags, text, made).wait()


def _environment(folder: Path) -> dict[str, str]:
    """What compilers write besides lies in the folder that goes, but what Zig may use again, which is beside it.

    What this process has loaded before all else is not theirs: a shell dies of a sanitizer for threads as it forks.
    """
    kept = {"ZIG_GLOBAL_CACHE_DIR": str(folder.parent / "zig"), "ZIG_LOCAL_CACHE_DIR": str(folder / "zig")}
    own = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    return {**kept, **own, "TMPDIR": str(folder)}


def _short(message: str) -> str:
    """The first line that speaks of an error."""
    lines = message.splitlines()
    return next((line for line in lines if "error" in line), lines[0])[:300]


@functools.cache
def processor() -> str:
    """What distinguishes this processor's instructions from another's, where a home is shared by machines."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
            return next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return f"{platform.machine()} {platform.processor()}"


# ── written down ──────────────────────────────────────────────────────────────────────────────────────────


def _note(command: tuple[str, ...]) -> Path:
    """Where it is noted what is known of a compiler. Another file under the same name is another compiler."""
    program = Path(shutil.which(command[0]) or command[0]).resolve()
    status = program.stat()
    seen = [*command, program, status.st_size, status.st_mtime_ns, *NEEDED, *WANTED, TARGET, PROBE, processor()]
    return cache.cache_folder() / f"compiler-{hashlib.sha256(repr(seen).encode()).hexdigest()[:32]}.json"


def _known(command: tuple[str, ...]) -> Compiler | None:
    try:
        path = _note(command)
        cache.check_owner(path)
        noted: dict[str, Any] = json.loads(path.read_text())
        if tuple(noted["command"]) != command or noted["lanes"] not in (4, 8, 16):
            return None
        return Compiler(command, tuple(map(str, noted["flags"])), noted["lanes"], str(noted["version"]))
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _write_down(found: Compiler) -> None:
    path = _note(found.command)
    with written_whole(path) as file:
        file.write(json.dumps(asdict(found)).encode())
    path.chmod(0o600)  # whatever the umask is
