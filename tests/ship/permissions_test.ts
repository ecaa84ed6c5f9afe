/** The Deno flags of docs/DEPLOY.md in the place of `-A`: enough, and for a restore each of them needed. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import type { Program } from "../program.ts";
import { oncePerFile } from "../servers/once.ts";
import { startMinio, TEST_BUCKET, TEST_KEYS } from "../servers/s3_servers.ts";
import { Walbrook } from "../walbrook.ts";
import { denoCommand, root } from "./release.ts";

const minio = oncePerFile(() => startMinio());

/** The command under this name in docs/DEPLOY.md, as words. */
function documented(name: string): string[] {
  const text = readFileSync(join(root, "docs/DEPLOY.md"), "utf8");
  const block = new RegExp(`<!-- ${name} -->\\s*\`\`\`sh\\n([^]*?)\`\`\``).exec(text)?.[1];
  assert.ok(block !== undefined, `docs/DEPLOY.md: no block after <!-- ${name} -->`);
  return block.replaceAll("\\\n", " ").replaceAll('"', "").trim().split(/\s+/);
}

/** A database in `data` with one row, an empty `backup` and an empty `restored`, as the document's paths. */
class Ground implements Disposable {
  readonly #folder = temporaryFolder();
  readonly database: DatabaseSync;
  readonly restored = join(this.#folder.path, "restored/app.db");

  constructor(readonly url: string = "") {
    for (const name of ["data", "backup", "restored"]) mkdirSync(join(this.#folder.path, name));
    this.database = new DatabaseSync(join(this.#folder.path, "data/app.db"));
    this.database.exec("PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES ('one')");
  }

  /**
   * A documented command with our folders for its folders, our server for its server, and without `left`; `flags` are
   * of the command.
   */
  start(name: string, { left, flags = [] }: { left?: string; flags?: readonly string[] } = {}): Walbrook {
    const { host } = this.url === "" ? { host: "" } : new URL(this.url);
    const words = documented(name).filter((word) => left === undefined || !word.startsWith(left)).map((
      word,
    ) =>
      word.replaceAll(/\/(data|backup|restored)\b/g, (path) => join(this.#folder.path, path))
        .replace("s3://bucket/app", this.url).replace(
          /(--allow-net=).*/,
          `$1${host},${host.split(".").at(-1)}`,
        )
    );
    assert.equal(words[0], "deno");
    words.splice(words.indexOf("main.ts") + 2, 0, ...flags);
    const [path, ...front] = denoCommand().split(" ");
    const program: Program = {
      command: [path!, ...front, ...words.slice(1)],
      options: {
        cwd: root,
        env: {
          ...process.env,
          AWS_ACCESS_KEY_ID: TEST_KEYS.accessKeyId,
          AWS_SECRET_ACCESS_KEY: TEST_KEYS.secretAccessKey,
          DENO_NO_PROMPT: "1",
        },
      },
    };
    return Walbrook.startAs(program);
  }

  [Symbol.dispose](): void {
    this.database.close();
    this.#folder[Symbol.dispose]();
  }
}

const KINDS = [
  { kind: "folder", url: () => Promise.resolve("") },
  { kind: "S3", url: async () => `s3://${TEST_BUCKET}.localhost:${(await minio()).port}/permissions` },
];

for (const { kind, url } of KINDS) {
  test(`replicate and restore run with the documented Deno permissions: ${kind}`, async () => {
    using ground = new Ground(await url());
    await using walbrook = ground.start(`deno replicate ${kind}`);
    await walbrook.says("snapshot written");
    ground.database.exec("INSERT INTO t VALUES ('two')");
    const { code, stderr } = await walbrook.stop();
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /ERROR|Requires/);
    const restored = await ground.start(`deno restore ${kind}`).ended;
    assert.equal(restored.code, 0, restored.stderr);
    using database = new DatabaseSync(ground.restored);
    assert.deepEqual(database.prepare("SELECT x FROM t").all().map((row) => row["x"]), ["one", "two"]);
  });
}

test("restore needs each of the documented Deno permissions", async () => {
  using ground = new Ground();
  await using walbrook = ground.start("deno replicate folder");
  await walbrook.says("snapshot written");
  const flags = documented("deno restore folder").filter((word) => word.startsWith("--allow-"));
  assert.equal(flags.length, 3);
  for (const flag of flags) {
    const { code, stderr } = await ground.start("deno restore folder", { left: flag }).ended;
    assert.equal(code, 1, `${flag}: ${stderr}`);
    assert.ok(!existsSync(ground.restored), flag);
  }
});

test("restore checks the integrity with no more than the documented Deno permissions", async () => {
  using ground = new Ground();
  await using walbrook = ground.start("deno replicate folder");
  await walbrook.says("snapshot written");
  const { code, stderr } = await ground.start("deno restore folder", { flags: ["-integrity-check", "full"] })
    .ended;
  assert.equal(code, 0, stderr);
  assert.match(stderr, /integrity check passed/);
});
