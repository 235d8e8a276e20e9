/**
 * Health and metrics over plain HTTP, to read only: /health for a probe, with 503 where this agent can't do its duty;
 * /metrics for Prometheus. The metrics library is loaded when somebody asks for the first time.
 */

import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Registry } from 'prom-client';
import { clusterMetrics } from './cluster-metrics.ts';
import type { GuardLink } from './guard-link.ts';
import { healthOf, type Health } from './health.ts';
import type { Host } from './host.ts';
import { labelled, register, single, type Metric } from './metric.ts';
import { mirrorMetrics } from './mirror-metrics.ts';
import type { PendingNotes } from './pending-notes.ts';
import type { Tallies } from './tallies.ts';

export interface MetricsParts {
  readonly tallies: Tallies;
  readonly notes: PendingNotes;
  readonly guard: GuardLink | null;
  /** How many the preflight found; null before it looked. */
  readonly problems: () => number | null;
}

const requestMs = 5_000;
const retryMs = 10_000;
const connectionsMax = 32;

export class Metrics {
  readonly #host: Host;
  readonly #parts: MetricsParts;
  readonly #server: Server;
  #registry: Promise<Registry> | null = null;
  #trouble: string | null = null;
  #retry: NodeJS.Timeout | null = null;

  constructor(host: Host, parts: MetricsParts) {
    this.#host = host;
    this.#parts = parts;
    this.#server = createServer((request, response) => {
      this.#answer(request.method ?? '', request.url ?? '', response);
    });
    this.#server.requestTimeout = requestMs;
    this.#server.maxConnections = connectionsMax;
    this.#server.unref();
  }

  /** A port that is taken costs the metrics and nothing else; it is tried again. Resolves when it was tried once. */
  listen(port: number, address: string | undefined): Promise<void> {
    return new Promise((resolve) => {
      const listen = (): void => {
        this.#server.listen({ port, ...(address !== undefined && { host: address }) });
      };
      this.#server.on('listening', () => {
        this.#trouble = null;
        resolve();
      });
      this.#server.on('error', (error) => {
        const says = `no metrics on port ${port}: ${error.message}`;
        if (says !== this.#trouble) this.#host.log.warn('metrics', says);
        this.#trouble = says;
        this.#retry = setTimeout(listen, retryMs).unref();
        resolve();
      });
      listen();
    });
  }

  get troubles(): readonly string[] {
    return this.#trouble === null ? [] : [this.#trouble];
  }

  close(): void {
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #answer(method: string, url: string, response: ServerResponse): void {
    const path = url.split('?', 1)[0];
    if (method !== 'GET' && method !== 'HEAD') {
      send(response, 405, 'text/plain', 'only GET\n');
    } else if (path === '/health') {
      const health = this.#health();
      send(response, health.healthy ? 200 : 503, 'application/json', `${JSON.stringify(health)}\n`);
    } else if (path === '/metrics') {
      void this.#metrics().then(
        ({ type, text }) => send(response, 200, type, text),
        (error: unknown) => send(response, 500, 'text/plain', `${String(error)}\n`),
      );
    } else {
      send(response, 404, 'text/plain', 'there are /health and /metrics\n');
    }
  }

  #health(): Health {
    const { guard } = this.#parts;
    return healthOf(this.#host.state(), guard === null ? null : guard.isConnected, this.#host.bootMs());
  }

  async #metrics(): Promise<{ type: string; text: string }> {
    this.#registry ??= this.#register();
    const registry = await this.#registry;
    return { type: registry.contentType, text: await registry.metrics() };
  }

  async #register(): Promise<Registry> {
    const { Counter, Gauge, Registry, collectDefaultMetrics } = await import('./prometheus.ts');
    const registry = new Registry();
    collectDefaultMetrics({ register: registry, prefix: 'holdfast_agent_' });
    register({ Counter, Gauge }, registry, [
      ...this.#own(),
      ...clusterMetrics(this.#host, this.#parts.problems),
      ...mirrorMetrics(this.#host),
    ]);
    return registry;
  }

  #own(): readonly Metric[] {
    const { tallies, notes } = this.#parts;
    return [
      single('healthy', '1: what /health says with 200', () => Number(this.#health().healthy)),
      single('heartbeats_sent_total', 'datagrams sent', () => tallies.sent),
      single('heartbeats_heard_total', 'datagrams accepted', () => tallies.heard),
      labelled('datagrams_rejected_total', 'datagrams refused', 'why', () => tallies.rejected.all()),
      labelled('datagrams_unsent_total', 'datagrams that could not be sent', 'why', () =>
        tallies.unsent.all(),
      ),
      single('renewals_committed_total', 'renewals committed', () => tallies.renewalsCommitted),
      single('renewals_failed_total', 'renewals without an answer', () => tallies.renewalsFailed),
      single('renewal_milliseconds', 'duration of the last renewal', () => tallies.lastRenewalMs),
      single(
        'address_extensions_failed_total',
        'extensions of addresses that failed',
        () => tallies.extensionsFailed,
      ),
      single('notes_pending', 'events that wait for a renewal', () => notes.size),
      single('notes_dropped_total', 'events given up because too many waited', () => notes.dropped),
    ];
  }
}

function send(response: ServerResponse, status: number, type: string, text: string): void {
  response.writeHead(status, { 'content-type': type });
  response.end(text);
}
