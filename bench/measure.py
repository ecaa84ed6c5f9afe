"""Run a command and print what the kernel counted for it: wall and CPU seconds, peak resident bytes.

    measure.py [--until PATTERN] [--count COUNT] [--timeout SECONDS] [--sync PATH] [--repeat COUNT] -- COMMAND [ARG ...]
    measure.py --live yes -- COMMAND [ARG ...]

With --until the command gets SIGTERM as soon as a file, or so many, match the pattern, or one of several with `|`
between; wall seconds end at that moment. With --sync they end when the file, or all files of the folder, are on the
disk. With --repeat the numbers are the medians of as many runs.

With --live each line on standard input is answered with a line of what was counted up to then; the end of the input ends
the command with SIGTERM, and the last line is about all of it.
"""

import glob
import json
import os
import re
import signal
import sys
import time


def spawn(command):
    """Start it with nothing to read, and its errors in a file: nobody reads a pipe while we wait."""
    errors = os.open(os.environ.get("TMPDIR", "/tmp"), os.O_RDWR | os.O_TMPFILE, 0o600)
    nothing = os.open("/dev/null", os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, nothing, 0), (os.POSIX_SPAWN_DUP2, nothing, 1), (os.POSIX_SPAWN_DUP2, errors, 2)]
    start = time.monotonic()
    return os.posix_spawnp(command[0], command, os.environ, file_actions=actions), start, errors


def sync(path):
    """Have a file on the disk, or all that is in a folder; not what others have written meanwhile."""
    places = [path, os.path.dirname(path)]
    for folder, folders, files in os.walk(path):
        places += [os.path.join(folder, name) for name in folders + files]
    for place in places:
        try:
            file = os.open(place, os.O_RDONLY)
        except FileNotFoundError:
            continue
        os.fsync(file)
        os.close(file)


def text_of(errors):
    size = os.fstat(errors).st_size
    text = os.pread(errors, 2000, max(0, size - 2000)).decode(errors="replace")
    os.close(errors)
    return text


def run(command, settings):
    pattern, limit = settings.get("--until"), float(settings.get("--timeout", "600"))
    needed = int(settings.get("--count", "1"))
    pid, start, errors = spawn(command)
    wall = None
    if pattern is None:
        _, status, usage = os.wait4(pid, 0)
        wall = time.monotonic() - start
        if "--sync" in settings:
            sync(settings["--sync"])
            wall = time.monotonic() - start
    else:
        while wall is None:
            if sum(len(glob.glob(each, recursive=True)) for each in pattern.split("|")) >= needed:
                if "--sync" in settings:
                    sync(settings["--sync"])
                wall = time.monotonic() - start
                # Litestream fails at its end when it is told to stop in the middle of a sync.
                time.sleep(1)
                os.kill(pid, signal.SIGTERM)
            elif os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) or (
                time.monotonic() - start > limit
            ):
                os.kill(pid, signal.SIGKILL)
                break
            else:
                time.sleep(0.002)
        _, status, usage = os.wait4(pid, 0)
    return {
        # Without a wall time it ended, or was killed, before the file was there.
        "wallSeconds": wall or 0,
        "cpuSeconds": usage.ru_utime + usage.ru_stime,
        "peakBytes": usage.ru_maxrss * 1024,
        "exitCode": os.waitstatus_to_exitcode(status) if wall is not None else -1,
        "errors": text_of(errors),
    }


def median(values):
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def repeat(command, settings):
    runs = [run(command, settings) for _ in range(int(settings.get("--repeat", "1")))]
    failed = [each for each in runs if each["exitCode"] != 0]
    if failed:
        return failed[0]
    names = ("wallSeconds", "cpuSeconds", "peakBytes")
    middle = {name: median(each[name] for each in runs) for name in names}
    return {**runs[-1], **middle}


def count(pid, start):
    with open(f"/proc/{pid}/status") as file:
        status = file.read()
    with open(f"/proc/{pid}/io") as file:
        written = re.search(r"^write_bytes: (\d+)", file.read(), re.M)
    # The clock of another process's CPU time, in nanoseconds: MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED).
    return {
        "wallSeconds": time.monotonic() - start,
        "cpuSeconds": time.clock_gettime((~pid << 3) | 2),
        "residentBytes": int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024,
        "peakBytes": int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024,
        "writtenBytes": int(written[1]),
    }


def live(command):
    pid, start, errors = spawn(command)
    ended = (0, 0, None)
    for _ in sys.stdin:
        ended = os.wait4(pid, os.WNOHANG)
        if ended[0] != 0:
            break
        print(json.dumps(count(pid, start)), flush=True)
    if ended[0] == 0:
        os.kill(pid, signal.SIGTERM)
        try:
            ended = wait_for(pid, 60)
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            ended = os.wait4(pid, 0)
    _, status, usage = ended
    print(
        json.dumps(
            {
                "wallSeconds": time.monotonic() - start,
                "cpuSeconds": usage.ru_utime + usage.ru_stime,
                "peakBytes": usage.ru_maxrss * 1024,
                "exitCode": os.waitstatus_to_exitcode(status),
                "errors": text_of(errors),
            }
        )
    )


def wait_for(pid, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended = os.wait4(pid, os.WNOHANG)
        if ended[0] != 0:
            return ended
        time.sleep(0.005)
    raise TimeoutError


def main():
    split = sys.argv.index("--")
    options, command = sys.argv[1:split], sys.argv[split + 1 :]
    settings = dict(zip(options[::2], options[1::2]))
    if "--live" in settings:
        live(command)
    else:
        print(json.dumps(repeat(command, settings)))


main()
