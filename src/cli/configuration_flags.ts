/** The flags that say which configuration file to read and how. */

/** The flags that every command with a configuration file has. */
export const CONFIGURATION_FLAGS = {
  "config": { kind: "string" },
  "no-expand-env": { kind: "boolean" },
} as const;

/** What those flags say. */
export interface ConfigurationRequest {
  /** `-config`, as typed; absent: where the file usually is. */
  readonly configPath?: string | undefined;
  /** False with `-no-expand-env`. */
  readonly isExpanding: boolean;
}

/** The values of `CONFIGURATION_FLAGS` as a request. */
export function configurationRequest(
  flags: { readonly config?: string; readonly "no-expand-env"?: boolean },
): ConfigurationRequest {
  return { configPath: flags.config || undefined, isExpanding: flags["no-expand-env"] !== true };
}
