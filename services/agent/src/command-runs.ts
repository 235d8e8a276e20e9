/**
 * Commands that run for a group. Each carries a mark in its environment, so that a fence can end those that are still
 * under way, with everything they started: a start that finishes after the stop would leave the service on two servers.
 */

import { randomUUID } from 'node:crypto';
import type { Command, Epoch, GroupId } from '@holdfast/core';
import type { CommandResult, Commands, Outcome } from './platform/platform.ts';
import { said } from './said.ts';

/** Ends every process with this `NAME=value` in its environment, and what they started. */
export type KillMarked = (mark: string) => Promise<readonly number[]>;

export const markName = 'HOLDFAST_COMMAND';

/** What a command is told in its environment. */
export interface CommandPurpose {
  readonly group: GroupId;
  readonly epoch: Epoch;
  /** A hook point, or start, stop, status. */
  readonly event: string;
  /** The other server of the operation, or empty. */
  readonly peer: string;
}

export class CommandRuns {
  readonly #self: string;
  readonly #commands: Commands;
  readonly #killMarked: KillMarked;
  readonly #underWay = new Map<GroupId, Map<string, Epoch>>();

  constructor(self: string, commands: Commands, killMarked: KillMarked) {
    this.#self = self;
    this.#commands = commands;
    this.#killMarked = killMarked;
  }

  async run(command: Command, purpose: CommandPurpose): Promise<CommandResult> {
    const id = randomUUID();
    const marks = this.#underWay.get(purpose.group) ?? new Map<string, Epoch>();
    this.#underWay.set(purpose.group, marks);
    marks.set(id, purpose.epoch);
    try {
      const env = { ...environmentOf(this.#self, purpose), [markName]: id };
      return await this.#commands.run(command.argv, command.timeoutMs, env);
    } finally {
      marks.delete(id);
    }
  }

  /** Ends what is under way for the group at this epoch and before. */
  async killAll(group: GroupId, epoch: Epoch): Promise<void> {
    const marks = [...(this.#underWay.get(group) ?? [])].filter(([, at]) => at <= epoch);
    await Promise.all(marks.map(([id]) => this.#killMarked(`${markName}=${id}`)));
  }
}

export function environmentOf(self: string, purpose: CommandPurpose): Readonly<Record<string, string>> {
  return {
    HOLDFAST_GROUP: purpose.group,
    HOLDFAST_EPOCH: purpose.epoch.toString(),
    HOLDFAST_SERVER: self,
    HOLDFAST_EVENT: purpose.event,
    HOLDFAST_PEER: purpose.peer,
  };
}

/** Done when it ended with status 0; otherwise what it said. */
export function outcomeOf(argv: readonly string[], result: CommandResult): Outcome {
  const words = said(result.output);
  const tail = words === '' ? '' : `: ${words}`;
  const name = argv.join(' ').slice(0, 200);
  switch (result.kind) {
    case 'not-started':
      return { kind: 'failed', says: words === '' ? `${name} could not be started` : words };
    case 'timed-out':
      return {
        kind: 'failed',
        says: `${name} did not end within ${Math.round(result.ms)} ms and was killed${tail}`,
      };
    case 'exited':
      if (result.status === 0) return { kind: 'done' };
      return {
        kind: 'failed',
        says: `${name} ended with ${result.signal ?? `status ${String(result.status)}`}${tail}`,
      };
  }
}
