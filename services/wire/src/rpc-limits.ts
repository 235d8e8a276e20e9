/** Limits that both ends of a connection share. */

/** Control messages are small; bulk data has its own socket. */
export const messageBytesMax = 4 * 1024 * 1024;
/** A silent peer is asked after this long, and given up after as long again. */
export const keepaliveMs = 2000;
/** One on this host: its death closes the connection at once, so that only one that is frozen has to be found. */
export const keepaliveHereMs = 10_000;
/** A connection that nothing was asked over for this long is closed, or it would be kept alive for nothing. */
export const unusedMs = 30_000;
/** A client that is frozen costs its server a bounded place and nothing else: no hurry to find out. */
export const clientSilentMs = 10_000;
