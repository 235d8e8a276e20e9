/** What a resource has that says nothing else. */
export const resourceDefaults = {
  monitor: { everyMs: 10_000, timeoutMs: 5_000, restarts: 3 },
  startTimeoutMs: 60_000,
  stopTimeoutMs: 30_000,
} as const;
