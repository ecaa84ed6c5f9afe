/** A schema that needs what only the application has. */
import { execFileSync } from "node:child_process";

// By another program: `node:sqlite` can't make collations.
const SCRIPT = `
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.create_collation("mine", lambda left, right: (left > right) - (left < right))
database.execute("CREATE TABLE named (name TEXT COLLATE mine)")
database.execute("CREATE INDEX by_name ON named (name)")
database.execute("INSERT INTO named VALUES ('one'), ('two')")
database.commit()
`;

/** Make an index by a collation of its own in the database at `path`. */
export function addOwnCollation(path: string): void {
  execFileSync("python3", ["-c", SCRIPT, path]);
}
