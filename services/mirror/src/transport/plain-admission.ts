/**
 * The listener's half of the proof on a plain connection, see admission.ts.
 */

import type { Socket } from 'node:net';
import type { Peer } from '@holdfast/wire/directory';
import {
  checkProof,
  decodeTicket,
  encodeChallenge,
  newNonce,
  proofKind,
  ticketKind,
  type Tickets,
} from './admission.ts';
import type { Assembly } from './assembly.ts';
import { nextFrame } from './socket-wire.ts';

/** Who is at the other end, or null when it does not prove it. Ends with the signal or the socket. */
export async function admitPlain(
  socket: Socket,
  assembly: Assembly,
  tickets: Tickets,
  signal: AbortSignal,
): Promise<Peer | null> {
  const shown = await nextFrame(socket, assembly, signal);
  if (shown.kind !== 'frame' || shown.frame.kind !== ticketKind) return null;
  const ticket = decodeTicket(shown.frame.payload);
  const issued = ticket === null ? null : tickets.redeem(ticket.ticket, performance.now());
  if (ticket === null || issued === null) return null;
  const exchange = { ...ticket, key: issued.key, listenerNonce: newNonce() };
  socket.write(encodeChallenge(exchange));
  const proof = await nextFrame(socket, assembly, signal);
  if (proof.kind !== 'frame' || proof.frame.kind !== proofKind) return null;
  return checkProof(proof.frame.payload, exchange) ? issued.peer : null;
}
