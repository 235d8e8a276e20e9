/** Windows: the ports are there, the agent is not, yet. */
export const windowsUnsupported = {
  kind: 'unsupported',
  says: "Holdfast's Windows agent is not part of this version; run it on Linux",
} as const;
