/**
 * A watch that survives restarts of etcd. It is a hint: whoever watches reads again after `lost` and on a period.
 *
 * W1: `lost` is called after every break, and again when the watch is back, because a reader that read in between
 *     may have missed what came before it was back.
 * W2: a watch that is not confirmed, or whose server has no leader, breaks within bounded time instead of staying silent.
 * W3: reconnects for ever, each attempt 50 ms to 1 s after the last, to the endpoint that is current then.
 */

import { Metadata, status, type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js';
import type { Revision } from '@holdfast/core';
import { etcd } from '@holdfast/proto';
import type { StoreWatch, StoreWatchHandle } from '../store.ts';
import { blamesEndpoint } from './call.ts';
import type { Endpoints } from './endpoints.ts';
import { changeOf, prefixRange } from './request.ts';

const backoffMsMin = 50;
const backoffMsMax = 1_000;
const confirmMsMax = 2_000;

type Stream = ClientDuplexStream<etcd.WatchRequest, etcd.WatchResponse>;

export function openWatch(endpoints: Endpoints, prefix: string, on: StoreWatch): StoreWatchHandle {
  const { key, rangeEnd } = prefixRange(prefix);
  let closed = false;
  let everBroke = false;
  let backoffMs = backoffMsMin;
  /** Everything up to here was delivered; 0 means: start with what comes next. */
  let seen: Revision = 0n;
  let timer: NodeJS.Timeout | null = null;
  let stop: (() => void) | null = null;

  const connect = (): void => {
    const endpoint = endpoints.current();
    let ended = false;
    let confirmed = false;
    const metadata = new Metadata();
    // W2: etcd ends a stream that carries this when the server loses its leader.
    metadata.set('hasleader', 'true');
    let stream: Stream | null = null;

    const broke = (code: status, reason: string): void => {
      if (ended) return;
      ended = true;
      clearTimeout(confirmTimer);
      stream?.cancel();
      stop = null;
      if (closed) return;
      if (blamesEndpoint(code)) endpoints.failed(endpoint);
      timer = setTimeout(connect, backoffMs);
      backoffMs = Math.min(backoffMs * 2, backoffMsMax);
      const first = confirmed || !everBroke;
      everBroke = true;
      // W1, once per break and not once per attempt.
      if (first) on.lost(`the watch of ${prefix} at ${endpoint.name} broke: ${reason}`);
    };

    const confirmTimer = setTimeout(
      () => broke(status.DEADLINE_EXCEEDED, `not confirmed in ${confirmMsMax} ms`),
      confirmMsMax,
    );

    const received = (response: etcd.WatchResponse): void => {
      if (ended) return;
      if (response.canceled) {
        // A start that was compacted away can't be resumed: start again with what comes next.
        const compacted = response.compactRevision > 0n;
        if (compacted) seen = 0n;
        const reason = compacted
          ? `compacted up to ${response.compactRevision.toString()}`
          : response.cancelReason;
        broke(status.OUT_OF_RANGE, `etcd ended it: ${reason}`);
        return;
      }
      if (response.created) {
        confirmed = true;
        backoffMs = backoffMsMin;
        clearTimeout(confirmTimer);
        if (seen === 0n) seen = response.header?.revision ?? 0n;
        if (everBroke) on.lost(`the watch of ${prefix} is back, at ${endpoint.name}`);
      }
      deliver(response);
    };

    try {
      stream = endpoint.watch.watch(metadata);
      // Both names of an end are heard, so that none is unhandled; the first one counts.
      stream.on('error', (error: ServiceError) => broke(error.code, error.details));
      stream.on('end', () => broke(status.UNAVAILABLE, 'etcd closed the stream'));
      stream.on('data', received);
      stream.write({
        requestUnion: {
          $case: 'createRequest',
          value: { key, rangeEnd, startRevision: seen === 0n ? 0n : seen + 1n, progressNotify: true },
        },
      });
    } catch (error) {
      broke(status.UNAVAILABLE, String(error));
      return;
    }
    stop = () => {
      ended = true;
      clearTimeout(confirmTimer);
      stream.cancel();
    };
  };

  const deliver = (response: etcd.WatchResponse): void => {
    const rows = response.events.flatMap((event) => changeOf(event) ?? []);
    const newest = rows.reduce((most, row) => (row.modRevision > most ? row.modRevision : most), 0n);
    if (rows.length === 0) {
      // Progress: nothing under the prefix changed up to this revision.
      const revision = response.header?.revision ?? 0n;
      if (!response.created && revision > seen) seen = revision;
      return;
    }
    if (newest > seen) seen = newest;
    on.changed(newest, rows);
  };

  connect();
  return {
    close() {
      closed = true;
      if (timer !== null) clearTimeout(timer);
      stop?.();
      stop = null;
    },
  };
}
