/**
 * Health and metrics over plain HTTP, to read only: /health for a probe, /metrics for Prometheus. The metrics library
 * is loaded when somebody asks for the first time.
 */

import { createServer, type Server, type ServerResponse } from 'node:http';
import { heldEpoch, mayActUntil, type AgentState } from '@holdfast/core';
import type { Registry } from 'prom-client';
import type { GuardLink } from './guard-link.ts';
import type { Host } from './host.ts';
import { registerMirrors } from './mirror-metrics.ts';
import type { PendingNotes } from './pending-notes.ts';
import type { Tallies } from './tallies.ts';

export interface MetricsParts {
  readonly tallies: Tallies;
  readonly notes: PendingNotes;
  readonly guard: GuardLink | null;
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
      send(response, 200, 'application/json', `${JSON.stringify(this.#health())}\n`);
    } else if (path === '/metrics') {
      void this.#metrics().then(
        ({ type, text }) => send(response, 200, type, text),
        (error: unknown) => send(response, 500, 'text/plain', `${String(error)}\n`),
      );
    } else {
      send(response, 404, 'text/plain', 'there are /health and /metrics\n');
    }
  }

  #health(): unknown {
    const state = this.#host.state();
    const now = this.#host.bootMs();
    const { proof, failingSince, lastFailure } = state.renewal;
    return {
      member: state.self,
      version: state.version,
      bootMs: Math.round(now),
      guard: this.#parts.guard === null ? null : this.#parts.guard.isConnected,
      configRevision: state.configRevision.toString(),
      renewal: {
        ageMs: proof === null ? null : Math.round(now - proof.at),
        failingForMs: failingSince === null ? null : Math.round(now - failingSince),
        says: failingSince === null ? '' : lastFailure,
      },
      groups: Object.fromEntries(
        [...state.groups.values()].map((g) => [
          g.group,
          {
            holding: g.holding.kind,
            epoch: heldEpoch(g.holding)?.toString() ?? null,
            fenceMarginMs: margin(state, g.group, now),
          },
        ]),
      ),
    };
  }

  async #metrics(): Promise<{ type: string; text: string }> {
    this.#registry ??= this.#register();
    const registry = await this.#registry;
    return { type: registry.contentType, text: await registry.metrics() };
  }

  async #register(): Promise<Registry> {
    const { Gauge, Registry, collectDefaultMetrics } = await import('./prometheus.ts');
    const registry = new Registry();
    const { tallies, notes } = this.#parts;
    collectDefaultMetrics({ register: registry, prefix: 'holdfast_agent_' });
    const gauge = (name: string, help: string, read: () => number): void => {
      new Gauge({
        name: `holdfast_${name}`,
        help,
        registers: [registry],
        collect() {
          this.set(read());
        },
      });
    };
    gauge('heartbeats_sent_total', 'datagrams sent', () => tallies.sent);
    gauge('heartbeats_heard_total', 'datagrams accepted', () => tallies.heard);
    gauge('renewals_committed_total', 'renewals committed', () => tallies.renewalsCommitted);
    gauge('renewals_failed_total', 'renewals without an answer', () => tallies.renewalsFailed);
    gauge('renewal_milliseconds', 'duration of the last renewal', () => tallies.lastRenewalMs);
    gauge(
      'address_extensions_failed_total',
      'extensions of addresses that failed',
      () => tallies.extensionsFailed,
    );
    gauge('notes_pending', 'events that wait for a renewal', () => notes.size);
    gauge('notes_dropped_total', 'events given up because too many waited', () => notes.dropped);
    this.#registerLabelled(Gauge, registry);
    registerMirrors(Gauge, registry, this.#host);
    return registry;
  }

  #registerLabelled(Gauge: typeof import('prom-client').Gauge, registry: Registry): void {
    const { tallies } = this.#parts;
    const host = this.#host;
    const registers = [registry];
    const rows: readonly [string, string, string, () => Iterable<readonly [string, number]>][] = [
      ['datagrams_rejected_total', 'datagrams refused', 'why', () => tallies.rejected.all()],
      ['datagrams_unsent_total', 'datagrams that could not be sent', 'why', () => tallies.unsent.all()],
      [
        'fence_margin_milliseconds',
        'time until the group would be fenced',
        'group',
        () => {
          const state = host.state();
          return [...state.groups.keys()].flatMap((group) => {
            const left = margin(state, group, host.bootMs());
            return left === null ? [] : [[group, left] as const];
          });
        },
      ],
    ];
    for (const [name, help, label, read] of rows) {
      new Gauge({
        name: `holdfast_${name}`,
        help,
        registers,
        labelNames: [label],
        collect() {
          this.reset();
          for (const [value, count] of read()) this.set({ [label]: value }, count);
        },
      });
    }
  }
}

/** What is left until the fence; null for a group that is not held. */
function margin(state: AgentState, group: string, now: number): number | null {
  const g = state.groups.get(group);
  const config = state.config?.groups.get(group);
  if (g === undefined || config === undefined || g.entitlement === null || heldEpoch(g.holding) === null)
    return null;
  return Math.round(mayActUntil(g.entitlement) - now);
}

function send(response: ServerResponse, status: number, type: string, text: string): void {
  response.writeHead(status, { 'content-type': type });
  response.end(text);
}
