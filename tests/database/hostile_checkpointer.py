"""A checkpointer for the hostile test: every mode at random, through Python's SQLite or the sqlite3 program."""
import json, random, sqlite3, subprocess, sys, time

path, seed, seconds, program = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
chance = random.Random(seed)
done = {mode: 0 for mode in ["PASSIVE", "FULL", "RESTART", "TRUNCATE"]}
tries = 0


def by_program(mode, timeout):
    sql = f".timeout {timeout}\nPRAGMA wal_checkpoint({mode});\n"
    answer = subprocess.run(["sqlite3", path], input=sql, capture_output=True, text=True).stdout.strip()
    return answer.startswith("0|")


def by_python(mode, timeout):
    connection = sqlite3.connect(path, timeout=timeout / 1000, isolation_level=None)
    try:
        return connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()[0] == 0
    finally:
        connection.close()


end = time.time() + seconds
while time.time() < end:
    mode = chance.choice(list(done))
    tries += 1
    try:
        timeout = chance.choice([0, 5, 50, 500])
        if (by_program if program == "sqlite3" else by_python)(mode, timeout):
            done[mode] += 1
    except sqlite3.OperationalError:
        pass
    time.sleep(chance.random() * chance.choice([0.002, 0.02, 0.2]))
print(json.dumps({"tries": tries, **done}))
