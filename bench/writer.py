"""An application: commits to a database and prints how long each commit took.

    writer.py PATH --seconds S [--rate R] [--bytes B] [--autocheckpoint PAGES]
    writer.py --hold FILE

`--rate 0`, the default, is as fast as it can. Printed: one object with the count, p50, p99, p99.9 and the longest time in
milliseconds, and the largest WAL seen. With `--hold` one row is committed to each database that a
line of FILE names, and all are kept open until
the end of standard input; a line is printed when they are.
"""

import json
import os
import sqlite3
import sys
import time


def connect(path, autocheckpoint):
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {autocheckpoint}")
    return connection


def write(path, settings):
    seconds, rate = float(settings["--seconds"]), float(settings.get("--rate", "0"))
    insert = f"INSERT INTO t (x) VALUES (randomblob({int(settings.get('--bytes', '300'))}))"
    connection = connect(path, int(settings.get("--autocheckpoint", "1000")))
    largest, times = 0, []
    due = time.perf_counter()
    end = due + seconds
    while (start := time.perf_counter()) < end:
        connection.execute(insert)
        times.append(time.perf_counter() - start)
        if len(times) % 32 == 0:
            largest = max(largest, os.stat(path + "-wal").st_size)
        if rate > 0:
            due += 1 / rate
            rest = due - time.perf_counter()
            if rest > 0:
                time.sleep(rest)
    largest = max(largest, os.stat(path + "-wal").st_size)
    connection.close()
    times.sort()
    at = lambda share: times[min(len(times) - 1, int(len(times) * share))] * 1000
    print(json.dumps({"count": len(times), "p50": at(0.5), "p99": at(0.99), "p999": at(0.999), "most": at(1), "walBytes": largest}))


def hold(paths):
    connections = [connect(path, 1000) for path in paths]
    for connection in connections:
        connection.execute("INSERT INTO t (x) VALUES (randomblob(300))")
    print("held", flush=True)
    sys.stdin.read()


if sys.argv[1] == "--hold":
    with open(sys.argv[2]) as file:
        hold(file.read().splitlines())
else:
    write(sys.argv[1], dict(zip(sys.argv[2::2], sys.argv[3::2])))
