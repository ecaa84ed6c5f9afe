/** walbrook as a process beside the real Litestream, both told of a replica in S3 by the same configuration file. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { litestreamPath } from "../litestream.ts";
import { testedProgram } from "../program.ts";
import { TEST_BUCKET, TEST_KEYS } from "../servers/s3_servers.ts";
import { type Ending, Walbrook } from "../walbrook.ts";

/** Where the replica is. */
export interface S3Place {
  /** Of the server, or of what makes faults in front of it. */
  readonly endpoint: string;
  /** In the bucket. */
  readonly path: string;
}

/** The keys of the tests' servers, and none of whoever runs the tests. */
function environment(): Record<string, string | undefined> {
  const env: Record<string, string | undefined> = { ...testedProgram().options.env ?? process.env };
  for (const name of Object.keys(env)) if (name.startsWith("AWS_")) delete env[name];
  return {
    ...env,
    LITESTREAM_ACCESS_KEY_ID: TEST_KEYS.accessKeyId,
    LITESTREAM_SECRET_ACCESS_KEY: TEST_KEYS.secretAccessKey,
  };
}

/** A folder for a database and what is restored, and the configuration that both programs read. */
export class S3Commands implements Disposable {
  readonly #folder = temporaryFolder();
  readonly #configPath = this.path("config.yml");
  readonly databasePath = this.path("app.db");

  constructor(
    { endpoint, path }: S3Place,
    { syncInterval = "50ms", partSize }: { syncInterval?: string; partSize?: string } = {},
  ) {
    const replica = {
      type: "s3",
      bucket: TEST_BUCKET,
      path,
      endpoint,
      region: "us-east-1",
      "force-path-style": true,
      "sync-interval": syncInterval,
      ...(partSize === undefined ? {} : { "part-size": partSize }),
    };
    const database = { path: this.databasePath, "monitor-interval": "20ms", replicas: [replica] };
    writeFileSync(this.#configPath, JSON.stringify({ logging: { stderr: true }, dbs: [database] }));
  }

  path(name: string): string {
    return join(this.#folder.path, name);
  }

  /** Start walbrook's `command`, as the program under test. */
  start(command: "replicate" | "restore" | "check", ...words: string[]): Walbrook {
    const program = testedProgram();
    const options = { ...program.options, env: environment() };
    return Walbrook.startAs({ ...program, options }, command, "-config", this.#configPath, ...words);
  }

  /** Have walbrook restore to `outputPath`. */
  restore(outputPath: string): Promise<Ending> {
    return this.start("restore", "-o", outputPath, this.databasePath).ended;
  }

  /** Start Litestream's `command`. */
  startLitestream(command: "replicate" | "restore", ...words: string[]): Walbrook {
    const program = { command: [litestreamPath()], options: { env: environment() } } as const;
    return Walbrook.startAs(program, command, "-config", this.#configPath, ...words);
  }

  /** Have Litestream restore to `outputPath`. */
  litestreamRestore(outputPath: string): Promise<Ending> {
    return this.startLitestream("restore", "-o", outputPath, this.databasePath).ended;
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}
