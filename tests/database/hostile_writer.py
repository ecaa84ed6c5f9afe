"""A writer for the hostile test: commits until told to stop, prints how many. Some rows are large, some old ones change."""
import random, sqlite3, sys, time

path, seed, seconds, mode = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
chance = random.Random(seed)


def connect():
    connection = sqlite3.connect(path, timeout=20, isolation_level=None)
    connection.execute("PRAGMA synchronous = NORMAL")
    if mode != "auto":
        connection.execute("PRAGMA wal_autocheckpoint = 0")
    if mode == "spill":
        connection.execute("PRAGMA cache_size = 10")
    return connection


def transaction(connection):
    connection.execute("BEGIN IMMEDIATE")
    for _ in range(chance.choice([1, 1, 1, 3, 200 if mode == "spill" else 5])):
        size = chance.choice([10, 100, 900, 6000])
        connection.execute("INSERT INTO h (w, x) VALUES (?, randomblob(?))", (seed, size))
    connection.execute("UPDATE h SET x = randomblob(50) WHERE id = abs(random()) % 500 + 1")
    if chance.random() < 0.05:
        connection.execute("DELETE FROM h WHERE id % 7 = ? AND id > 500", (chance.randrange(7),))
    if chance.random() < 0.05:
        connection.execute("ROLLBACK")
        return 0
    connection.execute("COMMIT")
    return 1


commits = 0
busy = 0
end = time.time() + seconds
connection = None
while time.time() < end:
    try:
        if connection is None:
            connection = connect()
        commits += transaction(connection)
    except sqlite3.OperationalError:
        busy += 1
        if connection is not None and connection.in_transaction:
            connection.execute("ROLLBACK")
    if mode == "fresh" and connection is not None:
        connection.close()
        connection = None
    if chance.random() < 0.3:
        time.sleep(chance.random() * 0.01)
print(commits, busy)
