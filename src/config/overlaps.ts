/** What must not be the same twice in one configuration. */
import { basename, join, parentFolder } from "../runtime/paths.ts";
import type { Built, BuiltDatabase } from "./build_database.ts";
import type { DatabaseConfig, ReplicaConfig } from "./configuration.ts";
import type { Findings } from "./findings.ts";
import type { SectionValues } from "./section_values.ts";

/** Report databases, meta folders, names and destinations that stand in one another's way. */
export function checkOverlaps(databases: readonly BuiltDatabase[], findings: Findings): void {
  checkDatabases(databases, findings);
  for (const { replicas } of databases) checkNames(replicas, findings);
  const replicas = databases.flatMap(({ replicas }) => replicas);
  checkDestinations(replicas, findings);
  checkFolders(databases, findings);
}

function checkDatabases(databases: readonly BuiltDatabase[], findings: Findings): void {
  const paths = new Set<string>();
  const metaPaths = new Set<string>();
  for (const { config, section } of databases) {
    const metaPath = metaPathOf(config);
    if (paths.has(config.path)) {
      findings.add("wrong", section.offsetOf("path"), `database ${config.path} stands here twice`);
    } else if (metaPath === parentFolder(config.path)) {
      const message = `meta-path ${metaPath} is the folder of the database itself: give it one of its own`;
      findings.add("wrong", section.offsetOf("meta-path"), message);
    } else if (metaPaths.has(metaPath)) {
      const message = `meta-path ${metaPath} is that of another database: each needs its own`;
      findings.add("wrong", section.offsetOf("meta-path"), message);
    }
    paths.add(config.path);
    metaPaths.add(metaPath);
  }
}

function metaPathOf({ path, metaPath }: DatabaseConfig): string {
  return metaPath ?? join(parentFolder(path), `.${basename(path)}-litestream`);
}

function checkNames(replicas: readonly Built<ReplicaConfig>[], findings: Findings): void {
  const names = new Set<string>();
  for (const { config: { name, type }, section } of replicas) {
    if (names.has(name)) {
      const hint = section.text("name") === undefined
        ? `the second replica of type ${type} needs a name`
        : "rename one";
      findings.add(
        "wrong",
        section.offsetOf("name"),
        `two replicas of the database are named "${name}": ${hint}`,
      );
    }
    names.add(name);
  }
}

/** One text for one destination; two replicas of the same text would write into one another. */
function destinationOf(config: ReplicaConfig): string {
  const parts = (...parts: readonly (string | undefined)[]) => JSON.stringify(parts);
  switch (config.type) {
    case "file":
      return parts("file", config.path);
    case "s3":
      return parts("s3", config.endpoint, config.urlHost ?? config.bucket, trimmed(config.path));
    case "gcs":
      return parts("gcs", config.bucket, trimmed(config.path));
    case "abs":
      return parts("abs", config.endpoint, config.accountName, config.bucket, trimmed(config.path));
    case "sftp":
      return parts("sftp", config.host.replace(/:22$/, ""), config.user, config.path.replace(/\/+$/, ""));
  }
}

function trimmed(path: string): string {
  return path.replace(/^\/+|\/+$/g, "");
}

function checkDestinations(replicas: readonly Built<ReplicaConfig>[], findings: Findings): void {
  const seen = new Set<string>();
  for (const { config, section } of replicas) {
    const destination = destinationOf(config);
    if (seen.has(destination)) {
      const message =
        `another replica goes to the same place: each needs a ${
          config.type === "file" ? "folder" : "path"
        } ` +
        "of its own";
      findings.add("wrong", placeOf(section), message);
    }
    seen.add(destination);
  }
}

/** Folders within folders: harmless beside one another's `generations`, ruin inside of it. */
function checkFolders(databases: readonly BuiltDatabase[], findings: Findings): void {
  const metaPaths = new Set(databases.map(({ config }) => metaPathOf(config)));
  const databasePaths = new Set(databases.map(({ config }) => config.path));
  const folders = databases.flatMap(({ replicas }) => replicas)
    .flatMap(({ config, section }) => config.type === "file" ? [{ path: config.path, section }] : []);
  const roots = new Set(folders.map(({ path }) => path));
  for (const { path, section } of folders) {
    if (metaPaths.has(path)) {
      findings.add("wrong", placeOf(section), `replica folder ${path} is the meta folder of a database`);
    } else if (databasePaths.has(path)) {
      findings.add("wrong", placeOf(section), `replica folder ${path} is a database`);
    }
    for (
      let below = path, above = parentFolder(path);
      above !== below;
      below = above, above = parentFolder(above)
    ) {
      if (metaPaths.has(above)) {
        const message = `replica folder ${path} is inside ${above}, the meta folder of a database`;
        findings.add("wrong", placeOf(section), message);
        break;
      }
      if (!roots.has(above)) continue;
      if (below === join(above, "generations")) {
        const message = `replica folder ${path} is inside the generations of the replica in ${above}`;
        findings.add("wrong", placeOf(section), message);
      } else {
        const message =
          `replica folder ${path} is inside the one of another replica, ${above}: better keep them apart`;
        findings.add("doubtful", placeOf(section), message);
      }
      break;
    }
  }
}

function placeOf(section: SectionValues): number {
  return section.offsetOf(section.text("url") === undefined ? "path" : "url");
}
