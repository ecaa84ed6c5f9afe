/** What a configuration file comes to. Durations are milliseconds, sizes bytes, paths absolute. */
import type { LogLevel } from "../logger.ts";
import type { Location } from "./finding.ts";

/** Everything that a file says, with every default filled in. */
export interface Configuration {
  /** The file it was read from. */
  readonly path: string;
  /** Whether warnings are errors, by the file's own wish. */
  readonly strict: boolean;
  /** Address of the metrics server, as written. */
  readonly addr?: string | undefined;
  /** The command to run; `splitExecCommand()` takes it. */
  readonly exec?: string | undefined;
  readonly health: HealthConfig;
  readonly logging: LoggingConfig;
  readonly databases: readonly DatabaseConfig[];
}

/** When a database or a replica counts as unhealthy. */
export interface HealthConfig {
  /** How long it may get no further while there is something to do. */
  readonly maxStallMs: number;
  /** How far a replica may be behind; 0: no such limit. */
  readonly maxLagMs: number;
}

/** How to log. */
export interface LoggingConfig {
  readonly level: LogLevel;
  readonly type: "text" | "json";
  /** Standard error instead of standard output. */
  readonly stderr: boolean;
}

/** One database. */
export interface DatabaseConfig {
  readonly path: string;
  /** Absent: the one beside the database. */
  readonly metaPath?: string | undefined;
  readonly monitorIntervalMs: number;
  /** 0: no such limit. */
  readonly checkpointIntervalMs: number;
  readonly busyTimeoutMs: number;
  readonly minCheckpointPageCount: number;
  /** 0: never. */
  readonly maxCheckpointPageCount: number;
  /** 0: never. */
  readonly truncatePageCount: number;
  /** Bytes of WAL kept for a dead replica; 0: no limit. */
  readonly maxShadowSize: number;
  readonly replicas: readonly ReplicaConfig[];
  /** Where in the file it stands; absent when a command line named it. */
  readonly at?: Location | undefined;
}

/** What every destination has. */
export interface CommonReplicaConfig {
  /** Its own among the replicas of its database. */
  readonly name: string;
  readonly syncIntervalMs: number;
  /** 0: kept forever. */
  readonly retentionMs: number;
  /** At most `retentionMs`, unless that is 0. */
  readonly retentionCheckIntervalMs: number;
  /** 0: none. */
  readonly snapshotIntervalMs: number;
  /** 0: never. */
  readonly validationIntervalMs: number;
  /** 0: never. */
  readonly drillIntervalMs: number;
  /** X25519 secret keys, one each; empty without encryption. */
  readonly identities: readonly string[];
  /** X25519 public keys, one each; empty without encryption. */
  readonly recipients: readonly string[];
  /** Bytes a second; absent without a limit. */
  readonly uploadBandwidth?: number | undefined;
  /** Where in the file it stands; absent when a command line named it. */
  readonly at?: Location | undefined;
}

/** A folder. */
export interface FileReplicaConfig extends CommonReplicaConfig {
  readonly type: "file";
  readonly path: string;
  readonly mustExist: boolean;
}

/** A bucket of S3 or what speaks like it. */
export interface S3ReplicaConfig extends CommonReplicaConfig {
  readonly type: "s3";
  /** Host of the URL as written, with its port; then `bucket` is absent and the store finds it from the host. */
  readonly urlHost?: string | undefined;
  readonly bucket?: string | undefined;
  /** Prefix of the keys; an explicit `path` as written. */
  readonly path: string;
  readonly region?: string | undefined;
  readonly endpoint?: string | undefined;
  /** What the file says; absent: true with an endpoint. */
  readonly forcePathStyle?: boolean | undefined;
  readonly skipVerify: boolean;
  /** Both or none of the two. */
  readonly accessKeyId?: string | undefined;
  readonly secretAccessKey?: string | undefined;
  /** Only with the two. */
  readonly sessionToken?: string | undefined;
  readonly profile?: string | undefined;
  readonly caCertPath?: string | undefined;
  readonly partSize?: number | undefined;
  readonly concurrency?: number | undefined;
  readonly storageClass?: string | undefined;
}

/** A bucket of Google Cloud Storage. */
export interface GcsReplicaConfig extends CommonReplicaConfig {
  readonly type: "gcs";
  readonly bucket: string;
  readonly path: string;
}

/** A container of Azure Blob Storage. */
export interface AbsReplicaConfig extends CommonReplicaConfig {
  readonly type: "abs";
  readonly accountName?: string | undefined;
  /** From the file or the environment. */
  readonly accountKey?: string | undefined;
  readonly bucket: string;
  readonly path: string;
  readonly endpoint?: string | undefined;
}

/** A folder behind SSH. */
export interface SftpReplicaConfig extends CommonReplicaConfig {
  readonly type: "sftp";
  /** With its port, if one is written. */
  readonly host: string;
  readonly user: string;
  readonly password?: string | undefined;
  readonly keyPath?: string | undefined;
  readonly path: string;
}

/** One destination. */
export type ReplicaConfig =
  | FileReplicaConfig
  | S3ReplicaConfig
  | GcsReplicaConfig
  | AbsReplicaConfig
  | SftpReplicaConfig;
