/** Starts, stops and looks at the resources of a group: commands, systemd units, OCF agents, and what volumes bring. */

import { setTimeout as pause } from 'node:timers/promises';
import type { Ended, GroupId, ResourceConfig, ResourceState } from '@holdfast/core';
import type { CommandResult, Platform } from './platform/platform.ts';
import { outcomeOf, type CommandPurpose, type CommandRuns } from './command-runs.ts';
import { ocfAnswer, ocfProgram } from './ocf.ts';
import { said } from './said.ts';
import { commandsOf, type CommandResource, type ResourceCommands } from './volumes/commands.ts';

const askAgainMs = 250;
const notWanted: Ended = { kind: 'failed', says: 'the epoch is over' };

export interface Seen {
  readonly state: ResourceState;
  readonly says: string;
}

/** For whom: the event of the purpose is filled in here. */
export interface Purpose extends Omit<CommandPurpose, 'event'> {
  /** False from the moment that the epoch is over: then nothing more is begun. */
  readonly wanted: () => boolean;
}

export class Resources {
  readonly #platform: Platform;
  readonly #runs: CommandRuns;
  readonly #dir: string;

  /** `dir`: the member's. */
  constructor(platform: Platform, runs: CommandRuns, dir: string) {
    this.#platform = platform;
    this.#runs = runs;
    this.#dir = dir;
  }

  commandsOf(group: GroupId, resource: CommandResource): ResourceCommands {
    return commandsOf(this.#dir, group, resource);
  }

  /** Does nothing when it runs already. Done when it runs, as far as that can be told. */
  async start(resource: ResourceConfig, purpose: Purpose): Promise<Ended> {
    const { runs, startTimeoutMs } = resource;
    if (runs.kind === 'systemd') return this.#platform.units.start(runs.unit, startTimeoutMs);
    const { start, status } = this.commandsOf(purpose.group, { ...resource, runs });
    const endMs = performance.now() + startTimeoutMs;
    if (status !== null && (await this.#status(status, resource, purpose)).kind === 'done')
      return { kind: 'done' };
    if (!purpose.wanted()) return notWanted;
    const leftMs = Math.max(1, endMs - performance.now());
    const result = await this.#run(start, leftMs, purpose, 'start');
    const started = outcome(runs, start, result);
    if (started.kind === 'failed' || status === null) return started;
    return this.#untilRunning(status, resource, purpose, endMs);
  }

  async #untilRunning(
    status: readonly string[],
    resource: ResourceConfig,
    purpose: Purpose,
    endMs: number,
  ): Promise<Ended> {
    for (;;) {
      const seen = await this.#status(status, resource, purpose);
      if (seen.kind === 'done') return seen;
      if (!purpose.wanted()) return notWanted;
      if (performance.now() + askAgainMs >= endMs) {
        return {
          kind: 'failed',
          says: `started, but not running after ${resource.startTimeoutMs} ms: ${seen.says}`,
        };
      }
      await pause(askAgainMs);
    }
  }

  async #status(status: readonly string[], resource: ResourceConfig, purpose: Purpose): Promise<Ended> {
    return outcome(
      resource.runs,
      status,
      await this.#run(status, resource.monitor.timeoutMs, purpose, 'status'),
    );
  }

  /** `fenceMs`: the epoch is over, and this is the time that is left. */
  async stop(resource: ResourceConfig, purpose: Purpose, fenceMs?: number): Promise<Ended> {
    const { runs } = resource;
    const timeoutMs = Math.min(resource.stopTimeoutMs, fenceMs ?? Infinity);
    if (runs.kind === 'systemd') return this.#platform.units.stop(runs.unit, timeoutMs);
    const { stop, fence } = this.commandsOf(purpose.group, { ...resource, runs });
    const argv = fenceMs === undefined ? stop : fence;
    return outcome(runs, argv, await this.#run(argv, timeoutMs, purpose, 'stop'));
  }

  #run(argv: readonly string[], timeoutMs: number, purpose: Purpose, event: string): Promise<CommandResult> {
    const { group, epoch, peer } = purpose;
    return this.#runs.run({ argv, timeoutMs }, { group, epoch, peer, event });
  }

  async restart(resource: ResourceConfig, purpose: Purpose): Promise<Ended> {
    // Its failure is no reason to leave the resource down.
    await this.stop(resource, purpose);
    return purpose.wanted() ? this.start(resource, purpose) : notWanted;
  }

  async look(resource: ResourceConfig, purpose: Purpose): Promise<Seen> {
    const { runs, monitor } = resource;
    if (runs.kind === 'systemd') return this.#unitState(runs.unit, monitor.timeoutMs);
    const { status } = this.commandsOf(purpose.group, { ...resource, runs });
    if (status === null) return { state: 'running', says: '' };
    const seen = await this.#status(status, resource, purpose);
    return seen.kind === 'done' ? { state: 'running', says: '' } : { state: 'failed', says: seen.says };
  }

  /** A unit on its way up or down is asked again until the time is over. */
  async #unitState(unit: string, timeoutMs: number): Promise<Seen> {
    const endMs = performance.now() + timeoutMs;
    for (;;) {
      const state = await this.#platform.units.state(unit, Math.max(1, endMs - performance.now()));
      if (state === 'running') return { state, says: '' };
      if (state !== 'unknown' || performance.now() + askAgainMs >= endMs)
        return { state, says: `${unit} is ${state}` };
      await pause(askAgainMs);
    }
  }
}

/** What our own program says is a sentence, which needs no command line before it. */
function outcome(runs: ResourceConfig['runs'], argv: readonly string[], result: CommandResult): Ended {
  const words = said(result.output);
  if (runs.kind === 'ocf') {
    const action = argv.at(-1) ?? '';
    return result.kind === 'exited' && result.status !== null && result.status !== 0
      ? { kind: 'failed', says: ocfAnswer(runs, action, result.status, words) }
      : outcomeOf([ocfProgram(runs), action], result);
  }
  const ended = outcomeOf(argv, result);
  const isOurs = runs.kind === 'attach' || runs.kind === 'mount';
  if (ended.kind === 'done' || !isOurs || result.kind !== 'exited' || words === '') return ended;
  return { kind: 'failed', says: words };
}
