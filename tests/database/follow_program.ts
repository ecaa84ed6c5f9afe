/** A process that follows the database it is given, until it is killed. Prints a line when it is live. */
import process from "node:process";
import { LiveDatabase } from "../../src/database/database.ts";

const database = new LiveDatabase({ path: process.argv[2]! });
await database.start();
console.log(database.state.kind);
setInterval(() => {}, 1 << 30);
