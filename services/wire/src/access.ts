/**
 * Who may call what. Viewers read; operators, servers and witnesses also change; a host speaks only for itself.
 * All of it needs a valid certificate of a member of this cluster; the one call without (Join) has no rule.
 */
import { dateProblem, type Certificate, type CertificateProblem, type Peer } from './certificate.ts';
import { isHost } from './names.ts';
import { failed, ok } from './outcome.ts';
import { failure, type Answer } from './wire-error.ts';

/** What a connection presented in its handshake, judged once. */
export type Presented =
  | { readonly kind: 'member'; readonly certificate: Certificate }
  | { readonly kind: 'problem'; readonly problem: CertificateProblem };

export type Rule<Request> =
  | { readonly kind: 'read' }
  | { readonly kind: 'change' }
  /** Only a server or witness, and only in the name it has in its certificate. */
  | { readonly kind: 'own'; readonly name: (request: Request) => string };

export const read: Rule<unknown> = { kind: 'read' };
export const change: Rule<unknown> = { kind: 'change' };
export const own = <Request>(name: (request: Request) => string): Rule<Request> => ({ kind: 'own', name });

/** The peer as its certificate proves now (a connection may outlive a certificate), or why there is none. */
export function provenPeer(presented: Presented, nowMs: number): Answer<Peer> {
  const problem =
    presented.kind === 'problem' ? presented.problem : dateProblem(presented.certificate, nowMs);
  if (problem !== null) return failed({ kind: 'certificate', problem: problem.kind, message: problem.says });
  if (presented.kind === 'problem') throw new Error('a problem was lost');
  return ok(presented.certificate.peer);
}

/** May this peer make this request? */
export function permit<Request>(rule: Rule<Request>, peer: Peer, request: Request): Answer<Peer> {
  switch (rule.kind) {
    case 'read':
      return ok(peer);
    case 'change':
      if (peer.role !== 'viewer') return ok(peer);
      return failure('refused', `${peer.id} is a viewer and may only read; use an operator's certificate`);
    case 'own': {
      if (!isHost(peer.role))
        return failure('refused', `${peer.id} is ${peer.role}, not a server or witness`);
      const name = rule.name(request);
      if (name === peer.id) return ok(peer);
      return failure('refused', `${peer.id} may not speak for ${JSON.stringify(name.slice(0, 63))}`);
    }
  }
}
