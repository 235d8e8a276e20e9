/**
 * How much a configuration may hold. Every list and text of the file has a bound, so that a wrong file can neither
 * fill the store nor the datagrams that carry parts of it.
 */

export const limits = {
  groups: 500,
  serversPerGroup: 16,
  servers: 500,
  addressesPerGroup: 64,
  resourcesPerGroup: 64,
  hooksPerPoint: 16,
  arguments: 128,
  argumentLength: 4_096,
  ocfParameters: 64,
  nameLength: 63,
  pathLength: 4_096,
  failoversPerHour: 100,
  restarts: 100,
  mirrorsPerGroup: 16,
  mirrors: 100,
  targetsPerMirror: 16,
  globs: 256,
  throttleWindows: 32,
  /** Bits per second. */
  rateMin: 1_000,
  rateMax: 999_000_000_000,
  /** Errors reported in full; the rest is counted. */
  errors: 1_000,
  warnings: 1_000,
} as const;

/** Bounds of times, in milliseconds. */
export const limitsMs = {
  outageMax: 3_600_000,
  timeoutMin: 100,
  timeoutMax: 3_600_000,
  everyMin: 500,
  everyMax: 3_600_000,
  scanEveryMin: 10_000,
  scanEveryMax: 7 * 24 * 3_600_000,
  lagMax: 7 * 24 * 3_600_000,
  dnsTtlMax: 7 * 24 * 3_600_000,
} as const;
