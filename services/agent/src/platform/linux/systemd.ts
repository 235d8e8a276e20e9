/**
 * Services that systemd runs, through systemctl. A host that was not started by systemd gets a clear answer, not a hang.
 *
 * U1. Where systemd runs nowhere, no unit does: there is nothing to stop, and a group with a unit by mistake is not held by it.
 */
import { existsSync, readFileSync } from 'node:fs';
import type { Outcome, Units, UnitState } from '../platform.ts';
import { explainResult, runProgram } from './commands.ts';

/** systemd.unit(5): what a unit's name may hold. */
const UNIT = /^[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]{0,254}$/;
/** There when, and only when, systemd runs this host (sd_booted(3)). */
export const BOOTED = '/run/systemd/system';

/** `hidden`: it is the first process, and this one does not see its folder, as in a chroot. */
export type SystemdRuns = 'here' | 'hidden' | 'nowhere';

export function systemdRuns(booted = BOOTED, firstProcess = '/proc/1/comm'): SystemdRuns {
  if (existsSync(booted)) return 'here';
  try {
    return readFileSync(firstProcess, 'utf8').trim() === 'systemd' ? 'hidden' : 'nowhere';
  } catch {
    // Nobody knows: a unit may run.
    return 'hidden';
  }
}

interface UnitPrograms {
  readonly systemctl: string | null;
}

export function createUnits(programs: UnitPrograms, runs: () => SystemdRuns = systemdRuns): Units {
  const lack = (unit: string): string | null => {
    if (!UNIT.test(unit)) return `"${unit}" is not the name of a unit`;
    if (programs.systemctl === null) return 'systemctl is not installed (Debian package systemd)';
    return runs() === 'here'
      ? null
      : 'systemd does not run this host; use a command resource instead of a unit';
  };
  const change = async (verb: 'start' | 'stop', unit: string, timeoutMs: number): Promise<Outcome> => {
    const says = lack(unit);
    if (says !== null) return { kind: 'failed', says };
    const argv = [programs.systemctl ?? '', '--no-ask-password', verb, '--', unit];
    const result = await runProgram(argv, { timeoutMs });
    if (result.kind === 'exited' && result.status === 0) return { kind: 'done' };
    return { kind: 'failed', says: explainResult(argv, result) };
  };
  return {
    start: (unit, timeoutMs) => change('start', unit, timeoutMs),
    stop: async (unit, timeoutMs) =>
      runs() === 'nowhere' ? { kind: 'done' } : change('stop', unit, timeoutMs), // U1
    state: async (unit, timeoutMs) => {
      if (runs() === 'nowhere') return 'stopped'; // U1
      if (lack(unit) !== null) return 'unknown';
      const argv = [programs.systemctl ?? '', 'show', '--property=LoadState,ActiveState', '--', unit];
      const result = await runProgram(argv, { timeoutMs });
      return result.kind === 'exited' && result.status === 0 ? parseState(result.output) : 'unknown';
    },
    stopCommands: (unit) =>
      programs.systemctl === null || !UNIT.test(unit) || runs() === 'nowhere' // U1
        ? []
        : [[programs.systemctl, '--no-ask-password', 'stop', '--', unit]],
  };
}

/** `unknown` also stands for "on its way": neither running nor stopped yet. */
export function parseState(shown: string): UnitState {
  const load = /^LoadState=(.*)$/m.exec(shown)?.[1];
  const active = /^ActiveState=(.*)$/m.exec(shown)?.[1] ?? '';
  if (load !== 'loaded') return 'unknown';
  switch (active) {
    case 'active':
    case 'reloading':
    case 'refreshing':
      return 'running';
    case 'inactive':
      return 'stopped';
    case 'failed':
      return 'failed';
    default:
      return 'unknown';
  }
}
