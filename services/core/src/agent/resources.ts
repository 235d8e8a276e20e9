/**
 * Monitors of an active group's resources: restart in place a few times, then ask for a planned release, so that a
 * failing service never has to wait for the outage.
 */

import type { GroupConfig, ResourceConfig } from '../config/types.ts';
import type { BootMs } from '../names.ts';
import type { AgentAction, AgentEvent } from './events.ts';
import type { GroupState, ResourceHealth } from './holding.ts';
import type { Here, Moved } from './here.ts';

/** A restart stops counting after this long. */
const restartCountsForMs = 600_000;

export function startMonitoring(config: GroupConfig, now: BootMs): ReadonlyMap<string, ResourceHealth> {
  return new Map(
    config.resources.map((r) => [
      r.name,
      { state: 'running', says: '', nextAt: now + r.monitor.everyMs, busy: null, restarts: [] } as const,
    ]),
  );
}

/** After a re-attach nothing is known: look at once. */
export function resumeMonitoring(config: GroupConfig, now: BootMs): ReadonlyMap<string, ResourceHealth> {
  return new Map(
    [...startMonitoring(config, now)].map(([name, r]) => [
      name,
      { ...r, state: 'unknown', nextAt: now } as const,
    ]),
  );
}

export function monitorsDue(g: GroupState, config: GroupConfig, now: BootMs): Moved {
  const h = g.holding;
  if (h.kind !== 'active') return { group: g, actions: [] };
  const actions: AgentAction[] = [];
  let group = g;
  for (const [name, health] of g.resources) {
    const r = config.resources.find((c) => c.name === name);
    if (r === undefined) continue;
    if (health.busy !== null && now >= health.busy.since + limitMs(r)) {
      // The answer is long overdue: the order was lost with its process. Ask again.
      group = put(group, name, { ...health, busy: null, nextAt: now });
    } else if (health.busy === null && now >= health.nextAt) {
      const run = Math.round(now);
      group = put(group, name, { ...health, busy: { what: 'monitor', run, since: now } });
      actions.push({ kind: 'monitor', group: g.group, epoch: h.epoch, resource: name, run });
    }
  }
  return { group, actions };
}

function limitMs(r: ResourceConfig): number {
  return r.monitor.timeoutMs + r.startTimeoutMs + r.stopTimeoutMs + 5_000;
}

export function nextMonitor(g: GroupState, config: GroupConfig): BootMs | null {
  if (g.holding.kind !== 'active') return null;
  const times = [...g.resources].map(([name, health]) => {
    const r = config.resources.find((c) => c.name === name);
    return health.busy === null || r === undefined ? health.nextAt : health.busy.since + limitMs(r);
  });
  return times.length === 0 ? null : Math.min(...times);
}

export function monitored(
  g: GroupState,
  { resource: name, run, state, says }: Extract<AgentEvent, { kind: 'monitored' }>,
  { config, now }: Here,
): Moved {
  const found = waitingFor(g, config, name, run, 'monitor');
  if (found === null) return { group: g, actions: [] };
  const { health, resource, epoch } = found;
  if (state === 'running') {
    const well = put(g, name, {
      ...health,
      state,
      says: '',
      busy: null,
      nextAt: now + resource.monitor.everyMs,
    });
    const allWell = [...well.resources.values()].every((r) => r.state === 'running');
    return { group: allWell ? { ...well, wantsRelease: null } : well, actions: [] };
  }
  const counted = health.restarts.filter((t) => now - t < restartCountsForMs);
  if (counted.length >= resource.monitor.restarts) return giveUp(g, name, health, says, resource, now);
  const restarting: ResourceHealth = {
    ...health,
    state: 'starting',
    says,
    restarts: [...counted, now],
    busy: { what: 'restart', run, since: now },
  };
  return {
    group: put(g, name, restarting),
    actions: [
      {
        kind: 'note',
        group: g.group,
        what: 'resource-failed',
        reason: `${name}: ${says}; restarting it in place`,
      },
      { kind: 'restart', group: g.group, epoch, resource: name, run },
    ],
  };
}

export function restarted(
  g: GroupState,
  { resource: name, run, ended }: Extract<AgentEvent, { kind: 'restarted' }>,
  { config, now }: Here,
): Moved {
  const found = waitingFor(g, config, name, run, 'restart');
  if (found === null) return { group: g, actions: [] };
  const { health, resource } = found;
  // Look at once either way: only the monitor says whether it runs.
  const says = ended.kind === 'failed' ? ended.says : '';
  const state = ended.kind === 'failed' ? 'failed' : 'running';
  const nextAt = ended.kind === 'failed' ? now : now + Math.min(resource.monitor.everyMs, 1_000);
  return { group: put(g, name, { ...health, state, says, busy: null, nextAt }), actions: [] };
}

function giveUp(
  g: GroupState,
  name: string,
  health: ResourceHealth,
  says: string,
  resource: ResourceConfig,
  now: BootMs,
): Moved {
  const reason = `resource ${name} failed ${String(health.restarts.length + 1)} times (${says})`;
  const group = put(g, name, {
    ...health,
    state: 'failed',
    says,
    busy: null,
    nextAt: now + resource.monitor.everyMs,
  });
  if (g.wantsRelease !== null) return { group, actions: [] };
  return {
    group: { ...group, wantsRelease: reason },
    actions: [{ kind: 'note', group: g.group, what: 'wants-release', reason }],
  };
}

function waitingFor(
  g: GroupState,
  config: GroupConfig,
  name: string,
  run: number,
  what: 'monitor' | 'restart',
) {
  const health = g.resources.get(name);
  const resource = config.resources.find((r) => r.name === name);
  if (g.holding.kind !== 'active' || health === undefined || resource === undefined) return null;
  if (health.busy?.what !== what || health.busy.run !== run) return null;
  return { health, resource, epoch: g.holding.epoch };
}

function put(g: GroupState, name: string, health: ResourceHealth): GroupState {
  return { ...g, resources: new Map(g.resources).set(name, health) };
}
