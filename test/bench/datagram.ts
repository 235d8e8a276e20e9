/**
 * What a probe and a responder say to each other: the probe sends its number (4 bytes), the responder sends it back with
 * its host's name behind it.
 *
 * The answer tells by itself who holds the address: a kernel hands a datagram to a responder only while the address asked
 * is one of its own. So the source of the answer, which Node cannot choose for UDP, plays no part.
 */

export const probePort = 9000;
const numberBytes = 4;
export const answerBytesMax = 64;

export function question(number: number): Buffer {
  const datagram = Buffer.allocUnsafe(numberBytes);
  datagram.writeUInt32BE(number);
  return datagram;
}

export function answerTo(asked: Buffer, name: Buffer): Buffer | undefined {
  return asked.length === numberBytes ? Buffer.concat([asked, name]) : undefined;
}

export function readAnswer(
  datagram: Buffer,
): { readonly number: number; readonly server: string } | undefined {
  if (datagram.length <= numberBytes || datagram.length > answerBytesMax) return undefined;
  return { number: datagram.readUInt32BE(), server: datagram.toString('utf8', numberBytes) };
}
