/**
 * The numbers of the NBD protocol, and the limits within which we speak it.
 *
 * Source: github.com/NetworkBlockDevice/nbd, doc/proto.md.
 */

/** "NBDMAGIC" and "IHAVEOPT". */
export const initMagic = 0x4e42444d41474943n;
export const optionMagic = 0x49484156454f5054n;
export const optionReplyMagic = 0x0003e889045565a9n;
export const requestMagic = 0x25609513;
export const simpleReplyMagic = 0x67446698;
export const structuredReplyMagic = 0x668e33ef;

/** Flags of the handshake. */
export const fixedNewstyle = 1;
export const noZeroes = 2;

export const option = {
  exportName: 1,
  abort: 2,
  list: 3,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
} as const;

export const optionReply = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  unsupported: 0x80000001,
  invalid: 0x80000003,
  unknown: 0x80000006,
} as const;

export const info = { export: 0, name: 1, blockSize: 3 } as const;

export const exportFlags = {
  hasFlags: 1,
  readOnly: 2,
  flush: 4,
  fua: 8,
  trim: 32,
  writeZeroes: 64,
  multiConn: 256,
  cache: 1024,
} as const;

export const command = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  cache: 5,
  writeZeroes: 6,
  blockStatus: 7,
} as const;

export const commandFlags = { fua: 1, noHole: 2, reqOne: 8 } as const;

export const chunk = {
  done: 1,
  none: 0,
  offsetData: 1,
  blockStatus: 5,
  error: 0x8001,
} as const;

export const allocationContext = 'base:allocation';
/** Of base:allocation. */
export const extentFlags = { hole: 1, zero: 2 } as const;

/** What a request came to; the numbers are those of Linux. */
export const outcome = {
  done: 0,
  notPermitted: 1,
  io: 5,
  invalid: 22,
  noSpace: 28,
  shutdown: 108,
} as const;

/** Payload of one request; told to clients as the largest block. Whoever sends more is hung up on. */
export const requestBytesMax = 33_554_432;
export const preferredBytes = 4_096;
/** One option of the handshake: nothing that a client has to say is as long. */
export const optionBytesMax = 65_536;
export const optionsMax = 256;
export const nameBytesMax = 4_096;
export const queriesMax = 64;
/** Extents in one answer about allocation. */
export const extentsMax = 4_096;
