/**
 * A WireError as a gRPC status and back. The code is for other people's tools; our own ends read the kind from the
 * trailing metadata, so that a status of the transport (no metadata) is never taken for a decision of the other side.
 */
import { Metadata, status, type ServiceError, type StatusObject } from '@grpc/grpc-js';
import type { CertificateProblemKind } from './certificate.ts';
import type { WireError, WireErrorKind } from './wire-error.ts';

const kindKey = 'holdfast-error';
const problemKey = 'holdfast-certificate';
/** As gRPC writes it: percent-encoded (its PROTOCOL-HTTP2.md, grpc-message). */
const messageBytesMax = 5000;

const codes: Readonly<Record<WireErrorKind, status>> = {
  unreachable: status.UNAVAILABLE,
  deadline: status.DEADLINE_EXCEEDED,
  cancelled: status.CANCELLED,
  refused: status.PERMISSION_DENIED,
  invalid: status.INVALID_ARGUMENT,
  unsafe: status.FAILED_PRECONDITION,
  'not-found': status.NOT_FOUND,
  certificate: status.UNAUTHENTICATED,
  internal: status.INTERNAL,
};

const problems: Readonly<Record<CertificateProblemKind, true>> = {
  missing: true,
  malformed: true,
  expired: true,
  'not-yet-valid': true,
  'wrong-cluster': true,
  'wrong-authority': true,
  'wrong-member': true,
};

const isPlainKind = (text: string): text is Exclude<WireErrorKind, 'certificate'> =>
  text !== 'certificate' && Object.hasOwn(codes, text);
const isProblem = (text: string): text is CertificateProblemKind => Object.hasOwn(problems, text);

/** Headers are bounded, and a lone surrogate would make grpc-js throw. Many errors are lines: whole ones are kept. */
function safeMessage(text: string): string {
  const lines = Buffer.from(text, 'utf8').toString('utf8').split('\n');
  let left = messageBytesMax;
  const kept = lines.findIndex((line) => (left -= encodedBytes(line) + newlineBytes) < 0);
  if (kept === -1) return lines.join('\n');
  const [first = ''] = lines;
  if (kept === 0) return first.slice(0, messageBytesMax / characterBytesMax).replace(/[\uD800-\uDBFF]$/, '');
  return [...lines.slice(0, kept), `${lines.length - kept} more like these are not shown`].join('\n');
}

const newlineBytes = 3;
/** Of one UTF-16 unit. */
const characterBytesMax = 9;
const encodedBytes = (line: string): number => encodeURI(line).length;

export function toStatus(error: WireError): StatusObject {
  const metadata = new Metadata();
  metadata.set(kindKey, error.kind);
  if (error.kind === 'certificate') metadata.set(problemKey, error.problem);
  return { code: codes[error.kind], details: safeMessage(error.message), metadata };
}

function first(metadata: Metadata, key: string): string {
  const value = metadata.get(key)[0];
  return typeof value === 'string' ? value : '';
}

/** `to`: whom the caller asked, for the message. */
export function fromStatus(error: ServiceError, to: string): WireError {
  const kind = first(error.metadata, kindKey);
  const message = error.details;
  if (kind === 'certificate') {
    const problem = first(error.metadata, problemKey);
    return { kind, problem: isProblem(problem) ? problem : 'malformed', message };
  }
  if (isPlainKind(kind)) return { kind, message };
  return fromTransport(error, to);
}

/** grpc-js wraps the reason of a failed connection in a sentence about its own parts. */
export function reasonIn(details: string): string {
  const wrapped = /Last error: (?:Error: )?(.*?)(?: \(\d{4}-[^)]*\))?\. Resolution note:/s.exec(details);
  return wrapped?.[1] ?? details;
}

function fromTransport(error: ServiceError, to: string): WireError {
  const says = reasonIn(error.details);
  switch (error.code) {
    case status.DEADLINE_EXCEEDED:
      return { kind: 'deadline', message: `no answer from ${to} in time` };
    case status.UNAVAILABLE:
    case status.CANCELLED:
    case status.ABORTED:
      return { kind: 'unreachable', message: `${to} does not answer: ${says}` };
    case status.UNIMPLEMENTED:
      return { kind: 'internal', message: `${to} does not know this call; is it of another version?` };
    case status.RESOURCE_EXHAUSTED:
      return { kind: 'invalid', message: `too large or too much for ${to}: ${says}` };
    case status.PERMISSION_DENIED:
      return { kind: 'refused', message: says };
    case status.INVALID_ARGUMENT:
      return { kind: 'invalid', message: says };
    case status.NOT_FOUND:
      return { kind: 'not-found', message: says };
    case status.OK:
    case status.UNKNOWN:
    case status.ALREADY_EXISTS:
    case status.FAILED_PRECONDITION:
    case status.OUT_OF_RANGE:
    case status.INTERNAL:
    case status.DATA_LOSS:
    case status.UNAUTHENTICATED:
      return { kind: 'internal', message: `${to} failed: ${says}` };
  }
}
