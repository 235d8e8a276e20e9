/** Limits that both ends of a connection share. */

/** Control messages are small; bulk data has its own socket. */
export const messageBytesMax = 4 * 1024 * 1024;
/** A silent peer is asked after this long, and given up after as long again. */
export const keepaliveMs = 2000;
/** A client that is frozen costs its server a bounded place and nothing else: no hurry to find out. */
export const clientSilentMs = 10_000;
