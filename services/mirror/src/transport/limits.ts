/**
 * What one frame may hold. Both sides check: the sender throws, the receiver answers with garbage and hangs up.
 */

/** Of the payload of one frame. */
export const frameBytesMax = 1_048_576 + 65_536;
/** Of the contents of one data frame, as the file has them. */
export const dataBytesMax = 1_048_576;
/** Of everything else that one frame may hold beside the contents of a data frame. */
export const nameBytesMax = 255;
export const pathBytesMax = 4_096;
export const linkBytesMax = 4_095;
export const listMax = 65_536;
export const extendedBytesMax = 65_536;
export const extendedTotalBytesMax = 262_144;
/** Of words for people and of names of members, clusters and mirrors, in bytes. */
export const textBytesMax = 4_096;
/** Identities and digests. */
export const digestBytesMax = 64;
