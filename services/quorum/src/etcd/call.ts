/**
 * One unary call to etcd, with a deadline that is kept whatever the transport does.
 *
 * C1: a call settles within its deadline, by a timer of its own: grpc-js reads the wall clock, which may jump.
 * C2: a call that failed is reported with the endpoint and the reason, never repeated.
 * C3: at most `inFlightMax` calls are open at a time.
 */

import { Metadata, connectivityState, status, type CallOptions, type ServiceError } from '@grpc/grpc-js';
import { reasonIn } from '@holdfast/wire/rpc';
import type { Endpoint, Endpoints } from './endpoints.ts';
import { saysFull, takeAlarmBack } from './quota.ts';

export type CallOutcome<T> =
  | { readonly kind: 'answer'; readonly value: T; readonly endpoint: string }
  | { readonly kind: 'failed'; readonly code: status; readonly details: string; readonly says: string };

/** The part of grpc-js's ClientUnaryCall that is needed. */
interface Cancellable {
  cancel(): void;
}

export type Invoke<Request, Response> = (
  endpoint: Endpoint,
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  done: (error: ServiceError | null, response: Response) => void,
) => Cancellable;

export interface Caller {
  /** Sends the request to the current endpoint. Never rejects. */
  call<Request, Response>(
    invoke: Invoke<Request, Response>,
    request: Request,
    deadlineMs: number,
  ): Promise<CallOutcome<Response>>;
}

const inFlightMax = 256;

export function createCaller(endpoints: Endpoints): Caller {
  let inFlight = 0;
  return {
    async call(invoke, request, deadlineMs) {
      if (!(deadlineMs > 0)) return failure(status.DEADLINE_EXCEEDED, 'no time was left to ask etcd');
      if (inFlight >= inFlightMax)
        return failure(
          status.RESOURCE_EXHAUSTED,
          `${inFlight} calls to etcd are already waiting for an answer`,
        );
      inFlight += 1;
      try {
        return await callOnce(endpoints, invoke, request, deadlineMs);
      } finally {
        inFlight -= 1;
      }
    },
  };
}

function callOnce<Request, Response>(
  endpoints: Endpoints,
  invoke: Invoke<Request, Response>,
  request: Request,
  deadlineMs: number,
): Promise<CallOutcome<Response>> {
  const endpoint = endpoints.current();
  return new Promise((resolve) => {
    let open: Cancellable | null = null;
    let settled = false;
    const settle = (outcome: CallOutcome<Response>): void => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      if (outcome.kind === 'failed' && blamesEndpoint(outcome.code)) endpoints.failed(endpoint);
      resolve(outcome);
    };
    // C1
    const timer = setTimeout(() => {
      settle(failure(status.DEADLINE_EXCEEDED, noAnswer(endpoint, deadlineMs)));
      open?.cancel();
    }, deadlineMs);
    const options = { deadline: Date.now() + deadlineMs };
    try {
      open = invoke(endpoint, request, new Metadata(), options, (error, response) => {
        if (error === null) settle({ kind: 'answer', value: response, endpoint: endpoint.name });
        else if (error.code === status.DEADLINE_EXCEEDED)
          settle(failure(error.code, noAnswer(endpoint, deadlineMs)));
        else settle({ ...failure(error.code, refused(endpoint, error)), details: error.details });
      });
    } catch (error) {
      // grpc-js throws on a channel that was closed under the call.
      settle(failure(status.UNAVAILABLE, `etcd at ${endpoint.name} was not asked: ${String(error)}`));
    }
  });
}

function failure(code: status, says: string): Extract<CallOutcome<never>, { kind: 'failed' }> {
  return { kind: 'failed', code, details: '', says };
}

function noAnswer(endpoint: Endpoint, deadlineMs: number): string {
  const state = connectivityState[endpoint.kv.getChannel().getConnectivityState(false)].toLowerCase();
  return `etcd at ${endpoint.name} gave no answer in ${Math.round(deadlineMs)} ms (connection ${state})`;
}

function refused(endpoint: Endpoint, error: ServiceError): string {
  if (saysFull(error.details))
    return `etcd at ${endpoint.name} is full and takes no writes; ${takeAlarmBack}`;
  return `etcd at ${endpoint.name} failed: ${status[error.code]} ${reasonIn(error.details)}`;
}

/** Whether another endpoint might do better. A request that was read and refused is refused everywhere. */
export function blamesEndpoint(code: status): boolean {
  switch (code) {
    case status.OK:
    case status.INVALID_ARGUMENT:
    case status.NOT_FOUND:
    case status.ALREADY_EXISTS:
    case status.RESOURCE_EXHAUSTED:
    case status.FAILED_PRECONDITION:
    case status.OUT_OF_RANGE:
      return false;
    case status.CANCELLED:
    case status.UNKNOWN:
    case status.DEADLINE_EXCEEDED:
    case status.PERMISSION_DENIED:
    case status.ABORTED:
    case status.UNIMPLEMENTED:
    case status.INTERNAL:
    case status.UNAVAILABLE:
    case status.DATA_LOSS:
    case status.UNAUTHENTICATED:
      return true;
  }
}
