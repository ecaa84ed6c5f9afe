/** A replica that can't be opened beside one that can: of a type that is still to come, and with a file that is missing. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildReplica } from "../builders/replica_builder.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { type Ending, Walbrook } from "../walbrook.ts";

const SMALL = { indexCount: 2, segmentsPerIndex: 1, snapshotIndexes: [], withStates: false, pageSize: 512 };

const COMING = "type sftp is not in this version yet: it replicates to folders and to S3";

/** A database with a sound replica between two that can't be opened. */
class Ground implements Disposable {
  readonly #folder = temporaryFolder();
  readonly #configPath = this.path("walbrook.yml");
  readonly databasePath = this.path("app.db");
  readonly missing = `ca-cert: there is no file ${this.path("none.pem")}`;

  static async open({ isEmpty = false } = {}): Promise<Ground> {
    const ground = new Ground();
    const root = ground.path("empty");
    mkdirSync(root);
    ground.write(isEmpty ? root : (await buildReplica({ folder: ground.path(), ...SMALL })).root);
    writeFileSync(ground.databasePath, "");
    return ground;
  }

  write(root: string): void {
    const lines = [
      "dbs:",
      `  - path: ${this.databasePath}`,
      "    replicas:",
      "      - {type: sftp, host: h, user: u, password: p, path: /b}",
      `      - {path: ${root}}`,
      `      - {url: "s3://b/x", endpoint: "https://127.0.0.1:1", region: r, access-key-id: a, secret-access-key: b, ca-cert: ${
        this.path("none.pem")
      }}`,
    ];
    writeFileSync(this.#configPath, lines.join("\n"), { mode: 0o600 });
  }

  path(...parts: string[]): string {
    return join(this.#folder.path, ...parts);
  }

  run(command: string, ...args: string[]): Promise<Ending> {
    return Walbrook.run(command, "-config", this.#configPath, ...args);
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

for (const command of ["snapshots", "generations", "wal"]) {
  test(`walbrook ${command} passes over what can't be opened, lists the others and exits with 1`, async () => {
    using ground = await Ground.open();
    const { code, stdout, stderr } = await ground.run(command, ground.databasePath);
    assert.equal(code, 1);
    assert.match(stdout, /\nfile /);
    const lines = stderr.trimEnd().split("\n");
    assert.equal(lines.length, 2, stderr);
    for (const [at, [name, why]] of [["sftp", COMING], ["s3", ground.missing]].entries()) {
      assert.ok(lines[at]!.includes('level=ERROR msg="cannot list replica"'), stderr);
      assert.ok(lines[at]!.includes(`replica=${name} error="${why}"`), stderr);
    }
    const named = await ground.run(command, "-replica", "sftp", ground.databasePath);
    assert.equal(named.code, 1);
    assert.equal(named.stdout, "");
    assert.equal(named.stderr, `walbrook ${command}: replica sftp: ${COMING}\n`);
  });
}

test("walbrook restore warns of what can't be opened and takes another, or none that was named", async () => {
  using ground = await Ground.open();
  const out = ground.path("out.db");
  const { code, stdout, stderr } = await ground.run("restore", "-o", out, ground.databasePath);
  assert.equal(code, 0, stderr);
  assert.ok(existsSync(out));
  const message = 'level=WARN msg="replica cannot be opened, going on with the others" replica=';
  assert.ok(stdout.includes(`${message}sftp error="${COMING}"`), stdout);
  assert.ok(stdout.includes(`${message}s3 error="${ground.missing}"`), stdout);
  const named = await ground.run("restore", "-replica", "s3", "-o", `${out}2`, ground.databasePath);
  assert.equal(named.code, 1);
  assert.equal(named.stderr, `walbrook restore: replica s3: ${ground.missing}\n`);
});

test("walbrook restore -if-replica-exists fails where what can't be opened may have a backup", async () => {
  using ground = await Ground.open({ isEmpty: true });
  const out = ground.path("out.db");
  const { code, stderr } = await ground.run("restore", "-if-replica-exists", "-o", out, ground.databasePath);
  assert.equal(code, 1);
  assert.equal(stderr, `walbrook restore: replica sftp: ${COMING}\n`);
});

test("walbrook verify looks at the others and exits with 2, for one could not be looked at", async () => {
  using ground = await Ground.open();
  const { code, stdout, stderr } = await ground.run("verify", ground.databasePath);
  assert.equal(code, 2);
  assert.match(stdout, /: proven, every restore point can be restored\n$/);
  assert.equal(
    stderr,
    `walbrook verify: replica sftp: ${COMING}\nwalbrook verify: replica s3: ${ground.missing}\n`,
  );
  const json = await ground.run("verify", "-json", ground.databasePath);
  assert.equal(json.code, 2);
  const { replicas: [first, second] } = JSON.parse(json.stdout);
  assert.deepEqual(first, { replica: "sftp", error: COMING });
  assert.equal(second.isProven, true);
});

test("walbrook replicate and check refuse what can't be opened", async () => {
  using ground = await Ground.open();
  const refusesToReplicate = async (...args: string[]) => {
    const { code, stderr } = await ground.run("replicate", "-once", ...args);
    assert.equal(code, 1);
    assert.match(stderr, /^walbrook replicate: .*replica sftp: type sftp is not in this version yet/m);
  };
  await refusesToReplicate();
  const { code, stdout } = await ground.run("check");
  assert.equal(code, 1);
  assert.ok(stdout.includes(COMING), stdout);
  assert.ok(stdout.includes(ground.missing), stdout);
  rmSync(ground.databasePath);
  await refusesToReplicate("-restore-if-db-not-exists");
  assert.ok(!existsSync(ground.databasePath));
});
