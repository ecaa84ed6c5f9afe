"""Run a command and print what the kernel counted for it: wall and CPU seconds, peak resident bytes.

    measure.py [--until PATTERN] [--timeout SECONDS] -- COMMAND [ARG ...]

With --until the command gets SIGTERM as soon as a file matches the pattern; wall seconds end at that moment.
"""

import glob
import json
import os
import signal
import subprocess
import sys
import time


def main() -> None:
    split = sys.argv.index("--")
    options, command = sys.argv[1:split], sys.argv[split + 1 :]
    settings = dict(zip(options[::2], options[1::2]))
    pattern, limit = settings.get("--until"), float(settings.get("--timeout", "600"))
    start = time.monotonic()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wall = None
    while pattern is not None and wall is None:
        if glob.glob(pattern, recursive=True):
            wall = time.monotonic() - start
            # Litestream fails at its end when it is told to stop in the middle of a sync.
            time.sleep(1)
            child.send_signal(signal.SIGTERM)
        elif child.poll() is not None or time.monotonic() - start > limit:
            child.kill()
            break
        else:
            time.sleep(0.002)
    errors = child.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(child.pid, 0)
    print(
        json.dumps(
            {
                "wallSeconds": wall if wall is not None else time.monotonic() - start,
                "cpuSeconds": usage.ru_utime + usage.ru_stime,
                "peakBytes": usage.ru_maxrss * 1024,
                "exitCode": os.waitstatus_to_exitcode(status),
                "errors": errors[-2000:],
            }
        )
    )


main()
