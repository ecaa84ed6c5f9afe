"""Runs a program whose standard output is a full, non-blocking pipe for a while, and passes on what came through it.

    late_reader.py SECONDS PROGRAM [ARGUMENT...]

Nothing is read before the program has been writing for SECONDS, or has ended. Ends with its exit code.
"""

import os
import select
import shutil
import subprocess
import sys

seconds, *command = sys.argv[1:]
reader, writer = os.pipe()
os.set_blocking(writer, False)
program = subprocess.Popen(command, stdout=writer)
os.close(writer)
select.select([reader], [], [])
try:
    program.wait(timeout=float(seconds))
except subprocess.TimeoutExpired:
    pass
with open(reader, "rb") as pipe:
    shutil.copyfileobj(pipe, sys.stdout.buffer)
sys.exit(program.wait())
