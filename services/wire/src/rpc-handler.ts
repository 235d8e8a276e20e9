/**
 * From typed handlers to gRPC handlers: admission first, then the handler, then its answer or failure as a status.
 *
 * H1. No handler runs for a caller that its rule does not permit. H2. A handler's exception never reaches grpc-js:
 * a WireFailure becomes its error, anything else `internal`, and is reported. H3. A stream's unsent values are bounded.
 */
import {
  Metadata,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type ServerUnaryCall,
  type ServerWritableStream,
} from '@grpc/grpc-js';
import { permit, provenPeer, type Presented, type Rule } from './access.ts';
import type { Peer } from './certificate.ts';
import { errorText, failed, ok } from './outcome.ts';
import { toStatus } from './rpc-status.ts';
import { failure, WireFailure, type Answer, type WireError } from './wire-error.ts';

type AuthContext = ReturnType<ServerUnaryCall<unknown, unknown>['getAuthContext']>;

/** Put on every call by the server, from the connection it came on; a client can't forge it. */
export class PresentedContext implements AuthContext {
  readonly transportSecurityType = 'ssl';
  readonly presented: Presented;

  constructor(presented: Presented) {
    this.presented = presented;
  }
}

export interface CallContext {
  /** Aborted when the caller is gone, its deadline passed, or the server closes. */
  readonly signal: AbortSignal;
  /** Where the caller is, as address:port; for messages only. */
  readonly from: string;
}

export interface MemberCall extends CallContext {
  readonly peer: Peer;
}

/** A call that is open to anyone: the peer is null unless it proved itself. */
export interface OpenCall extends CallContext {
  readonly peer: Peer | null;
}

export type Handler<Request, Reply, Call extends CallContext = MemberCall> = (
  request: Request,
  call: Call,
) => Promise<Answer<Reply>>;

/** Sends one value; resolves true when there is room for the next, false when the caller is gone: then stop. */
export type Send<Reply> = (value: Reply) => Promise<boolean>;

export type StreamHandler<Request, Reply> = (
  request: Request,
  send: Send<Reply>,
  call: MemberCall,
) => Promise<Answer<null>>;

export interface Fault {
  readonly method: string;
  readonly error: unknown;
}

/** What the server lends to its handlers. */
export interface HandlerHost {
  readonly closing: AbortSignal;
  /** Every call that runs now: the server aborts them when it closes. */
  readonly running: Set<AbortController>;
  readonly onFault: (fault: Fault) => void;
}

/** Calls that wait for the slowest reader we accept. */
const unsentMax = 64;

interface SurfaceCall {
  getAuthContext(): AuthContext;
  getPath(): string;
  getPeer(): string;
  on(event: 'cancelled', listener: () => void): unknown;
}

function presentedOf(call: SurfaceCall): Presented {
  const context = call.getAuthContext();
  if (context instanceof PresentedContext) return context.presented;
  throw new Error('a call came past the listener of the server');
}

/** Runs a handler with its context. Not AbortSignal.any: that one remembers every call for as long as the server lives. */
async function during<T>(
  call: SurfaceCall,
  host: HandlerHost,
  work: (context: CallContext) => Promise<T>,
): Promise<T> {
  const gone = new AbortController();
  call.on('cancelled', () => gone.abort());
  if (host.closing.aborted) gone.abort();
  host.running.add(gone);
  try {
    return await work({ signal: gone.signal, from: call.getPeer() });
  } finally {
    host.running.delete(gone);
  }
}

/** H1, for every call that is not open to anyone. */
function admit<Request>(rule: Rule<Request>, call: SurfaceCall, request: Request): Answer<Peer> {
  const peer = provenPeer(presentedOf(call), Date.now());
  return peer.kind === 'ok' ? permit(rule, peer.value, request) : peer;
}

/** H2. */
async function guarded<T>(
  call: SurfaceCall,
  host: HandlerHost,
  work: () => Promise<Answer<T>>,
): Promise<Answer<T>> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof WireFailure) return failed(error.error);
    host.onFault({ method: call.getPath(), error });
    return failure('internal', `unexpected failure: ${errorText(error)}`);
  }
}

/** A unary method under a rule. */
export function unary<Request, Reply>(
  host: HandlerHost,
  rule: Rule<Request>,
  handler: Handler<Request, Reply>,
): handleUnaryCall<Request, Reply> {
  return answering(host, async (request, call) => {
    const peer = admit(rule, call, request);
    if (peer.kind === 'error') return peer;
    return during(call, host, (context) => handler(request, { ...context, peer: peer.value }));
  });
}

/** The unary method that needs no certificate. */
export function openUnary<Request, Reply>(
  host: HandlerHost,
  handler: Handler<Request, Reply, OpenCall>,
): handleUnaryCall<Request, Reply> {
  return answering(host, async (request, call) => {
    const peer = provenPeer(presentedOf(call), Date.now());
    const proven = peer.kind === 'ok' ? peer.value : null;
    return during(call, host, (context) => handler(request, { ...context, peer: proven }));
  });
}

function answering<Request, Reply>(
  host: HandlerHost,
  work: (request: Request, call: SurfaceCall) => Promise<Answer<Reply>>,
): handleUnaryCall<Request, Reply> {
  return (call, callback) => {
    void guarded(call, host, () => work(call.request, call)).then((answer) => {
      if (answer.kind === 'ok') callback(null, answer.value);
      else callback(toStatus(answer.error));
    });
  };
}

/** A method that answers with a stream, under a rule. Headers go out at once, so that the caller knows it was heard. */
export function serverStream<Request, Reply>(
  host: HandlerHost,
  rule: Rule<Request>,
  handler: StreamHandler<Request, Reply>,
): handleServerStreamingCall<Request, Reply> {
  return (call) => {
    const work = async (): Promise<Answer<null>> => {
      const peer = admit(rule, call, call.request);
      if (peer.kind === 'error') return peer;
      call.sendMetadata(new Metadata());
      return during(call, host, (context) => {
        // A stream has no end of its own for a closing server to wait for.
        context.signal.addEventListener('abort', () => {
          finish(call, failure('unreachable', 'the service is closing'));
        });
        return handler(call.request, sender(call, context.signal), { ...context, peer: peer.value });
      });
    };
    void guarded(call, host, work).then((answer) => {
      finish(call, answer);
    });
  };
}

function finish<Request, Reply>(call: ServerWritableStream<Request, Reply>, answer: Answer<null>): void {
  if (call.destroyed || call.writableEnded) return;
  if (answer.kind === 'ok') call.end();
  else call.emit('error', toStatus(answer.error));
}

function sender<Request, Reply>(
  call: ServerWritableStream<Request, Reply>,
  signal: AbortSignal,
): Send<Reply> {
  let unsent = 0;
  const tooSlow: WireError = { kind: 'unreachable', message: 'the reader is too slow' };
  return async (value) => {
    if (signal.aborted || call.destroyed || call.writableEnded) return false;
    if (unsent >= unsentMax) {
      finish(call, failed(tooSlow));
      return false;
    }
    if (call.write(value)) return true;
    unsent += 1;
    await drained(call, signal);
    unsent -= 1;
    return !signal.aborted;
  };
}

function drained<Request, Reply>(
  call: ServerWritableStream<Request, Reply>,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((done) => {
    const settle = (): void => {
      call.off('drain', settle);
      call.off('close', settle);
      signal.removeEventListener('abort', settle);
      done();
    };
    call.once('drain', settle);
    call.once('close', settle);
    signal.addEventListener('abort', settle);
  });
}

export const done: Answer<null> = ok(null);
