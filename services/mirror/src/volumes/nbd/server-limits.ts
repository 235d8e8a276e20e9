/** Of every server of an export, whatever kind of thread it runs in (server.ts, X2 and X3). */

export const clientsMax = 64;
export const lastWordsMs = 2_000;
