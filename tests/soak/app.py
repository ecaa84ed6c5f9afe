"""
The application of the campaign: commits to a database and records every commit outside of it.

Before each COMMIT a line of intent is written, after it one that it succeeded:

    I <epoch> <seq> <id> <parent id> <total> <schema> <unix ms>
    A <id> <unix ms>

`total` is the sum of a hash of each row, kept as rows come and go; `schema` a hash of all of sqlite_master. Both, with
epoch, seq and id, also stand in the database, so that a restored file says which commit it claims to be, and whoever
hashes its rows knows whether that is true.
"""
import json, os, random, signal, sqlite3, sys, time
from content import row_hash, schema_hash

MODULUS = 1 << 62
MOST_ROWS = 2500


class Ledger:
    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(self, *words):
        os.write(self.file, (" ".join(map(str, words)) + "\n").encode())


def now():
    return int(time.time() * 1000)


def connect(path, settings):
    connection = sqlite3.connect(path, timeout=settings.get("timeout", 5), isolation_level=None)
    cursor = connection.execute(f"PRAGMA synchronous = {settings.get('synchronous', 'OFF')}")
    cursor.execute(f"PRAGMA wal_autocheckpoint = {settings.get('autocheckpoint', 1000)}")
    if settings.get("spills"):
        cursor.execute("PRAGMA cache_size = 8")
    return connection


def initialize(path, ledger, settings):
    connection = sqlite3.connect(path, isolation_level=None)
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA page_size = {settings['pageSize']}")
    cursor.execute(f"PRAGMA auto_vacuum = {settings['autoVacuum']}")
    cursor.execute("PRAGMA journal_mode = wal").fetchall()
    cursor.execute("BEGIN IMMEDIATE")
    cursor.execute("CREATE TABLE state (epoch, seq, id, total, schema)")
    cursor.execute("INSERT INTO state VALUES (?, 0, '-', 0, 0)", (settings["epoch"],))
    cursor.execute("CREATE TABLE d0 (id INTEGER PRIMARY KEY, w INTEGER, x BLOB, h INTEGER)")
    cursor.execute("CREATE INDEX d0_w ON d0 (w, h)")
    finish(cursor, ledger, f"init{settings['epoch']}", (settings["epoch"], 0, "-", 0), schema_hash(cursor))
    connection.close()


def adopt(path, ledger, epoch):
    """Begin another epoch: what is committed from here on is another history than the one that was."""
    connection = sqlite3.connect(path, isolation_level=None)
    cursor = connection.cursor()
    cursor.execute("BEGIN IMMEDIATE")
    _, seq, parent, total, schema = cursor.execute("SELECT * FROM state").fetchone()
    cursor.execute("UPDATE state SET epoch = ?", (epoch,))
    finish(cursor, ledger, f"adopt{epoch}", (epoch, seq, parent, total), schema)
    cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()


def finish(cursor, ledger, identity, before, schema):
    epoch, seq, parent, total = before
    cursor.execute(
        "UPDATE state SET seq = ?, id = ?, total = ?, schema = ?", (seq + 1, identity, total % MODULUS, schema)
    )
    ledger.write("I", epoch, seq + 1, identity, parent, total % MODULUS, schema, now())
    cursor.execute("COMMIT")
    ledger.write("A", identity, now())


class Writer:
    def __init__(self, path, ledger, name, settings):
        self.path, self.ledger, self.name, self.settings = path, ledger, name, settings
        self.chance = random.Random(settings["seed"])
        self.attempts = 0
        self.connection = None
        self.is_ending = False

    def tables(self, cursor):
        found = cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'd%'").fetchall()
        return [name for (name,) in found]

    def insert(self, cursor, table, size):
        identity = cursor.execute(f"SELECT coalesce(max(id), 0) + 1 FROM {table}").fetchone()[0]
        w = self.chance.randrange(1000)
        x = self.chance.randbytes(size)
        h = row_hash(table, identity, w, x)
        cursor.execute(f"INSERT INTO {table} (id, w, x, h) VALUES (?, ?, ?, ?)", (identity, w, x, h))
        return h

    def update(self, cursor, table):
        start = self.chance.randrange(1, MOST_ROWS)
        row = cursor.execute(f"SELECT id, w, h FROM {table} WHERE id >= ? LIMIT 1", (start,)).fetchone()
        if row is None:
            return 0
        identity, w, old = row
        x = self.chance.randbytes(self.chance.choice([0, 20, 100]))
        h = row_hash(table, identity, w, x)
        cursor.execute(f"UPDATE {table} SET x = ?, h = ? WHERE id = ?", (x, h, identity))
        return h - old

    def is_full(self, cursor, table):
        return (cursor.execute(f"SELECT max(id) FROM {table}").fetchone()[0] or 0) > MOST_ROWS

    def delete(self, cursor, table):
        count, highest = cursor.execute(f"SELECT count(*), max(id) FROM {table}").fetchone()
        if count < 10:
            return 0
        border = highest - int(count * self.chance.random())
        gone = cursor.execute(f"SELECT coalesce(sum(h), 0) FROM {table} WHERE id > ?", (border,)).fetchone()[0]
        cursor.execute(f"DELETE FROM {table} WHERE id > ?", (border,))
        return -gone

    def change_schema(self, cursor, tables):
        name = f"d{self.chance.randrange(1, 4)}"
        if name not in tables:
            cursor.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, w INTEGER, x BLOB, h INTEGER)")
            return 0
        what = self.chance.randrange(4)
        if what == 0:
            gone = cursor.execute(f"SELECT coalesce(sum(h), 0) FROM {name}").fetchone()[0]
            cursor.execute(f"DROP TABLE {name}")
            return -gone
        if what == 1:
            cursor.execute(f"CREATE INDEX IF NOT EXISTS {name}_h ON {name} (h, x)")
        elif what == 2:
            cursor.execute(f"DROP INDEX IF EXISTS {name}_h")
        elif len(cursor.execute(f"PRAGMA table_info({name})").fetchall()) < 8:
            cursor.execute(f"ALTER TABLE {name} ADD COLUMN c{self.chance.randrange(1 << 30)} DEFAULT 7")
        return 0

    def transaction(self):
        cursor = self.connection.cursor()
        chance = self.chance
        cursor.execute("BEGIN IMMEDIATE")
        epoch, seq, parent, total, schema = cursor.execute("SELECT * FROM state").fetchone()
        tables = self.tables(cursor)
        table = chance.choice(tables)
        dice = chance.random()
        if dice < 0.004:
            total += self.change_schema(cursor, tables)
            schema = schema_hash(cursor)
        elif dice < 0.02 or self.is_full(cursor, table):
            total += self.delete(cursor, table)
        elif dice < 0.03 and self.settings.get("big", True):
            for _ in range(100):
                total += self.insert(cursor, table, chance.choice([10, 300, 2000]))
        elif dice < 0.5:
            total += self.insert(cursor, table, chance.choice([0, 30, 100, 400]))
        else:
            total += self.update(cursor, table)
        if chance.random() < 0.02:
            cursor.execute("ROLLBACK")
            return
        self.attempts += 1
        finish(cursor, self.ledger, f"{self.name}.{self.attempts}", (epoch, seq, parent, total), schema)

    def step(self):
        try:
            if self.connection is None:
                self.connection = connect(self.path, self.settings)
            self.transaction()
            if self.settings.get("vacuums") and self.chance.random() < 0.001:
                self.connection.execute("VACUUM")
        except sqlite3.OperationalError as error:
            self.give_up(error)
        if self.settings.get("isFresh") and self.connection is not None:
            self.connection.close()
            self.connection = None

    def give_up(self, error):
        text = str(error)
        if "locked" not in text and "full" not in text and "I/O" not in text:
            self.ledger.write("E", self.name, text.replace(" ", "_"))
        try:
            if self.connection is not None and self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        except sqlite3.OperationalError:
            self.connection.close()
            self.connection = None
        time.sleep(0.01)

    def run(self):
        pause = 1 / self.settings["rate"]
        due = time.monotonic()
        while not self.is_ending:
            self.step()
            # Bursts and rests: a steady beat would never meet some windows.
            if self.chance.random() < 0.003:
                due += self.chance.random() * 0.3
            due = max(due + pause, time.monotonic() - 0.5)
            rest = due - time.monotonic()
            if rest > 0.002:
                time.sleep(rest)
        if self.connection is not None:
            self.connection.close()


def read(path, chance):
    """Hold read transactions, some for seconds."""
    while True:
        try:
            connection = sqlite3.connect(path, timeout=1, isolation_level=None)
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM state").fetchone()
            time.sleep(chance.choice([0.01, 0.1, 0.5, 2, 4]) * chance.random())
            connection.execute("COMMIT")
            connection.close()
        except sqlite3.OperationalError:
            pass
        time.sleep(chance.random() * 0.5)


def main():
    what, path, settings = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    if what == "read":
        return read(path, random.Random(settings["seed"]))
    ledger = Ledger(settings["ledger"])
    if what == "init":
        return initialize(path, ledger, settings)
    if what == "adopt":
        return adopt(path, ledger, settings["epoch"])
    writer = Writer(path, ledger, settings["name"], settings)
    signal.signal(signal.SIGTERM, lambda *_: setattr(writer, "is_ending", True))
    writer.run()


main()
