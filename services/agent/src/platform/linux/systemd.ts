/**
 * Services that systemd runs, through systemctl. A host that was not started by systemd gets a clear answer, not a hang.
 */
import { existsSync } from 'node:fs';
import type { Outcome, Units, UnitState } from '../platform.ts';
import { explainResult, runProgram } from './commands.ts';

/** systemd.unit(5): what a unit's name may hold. */
const UNIT = /^[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]{0,254}$/;
/** There when, and only when, systemd runs this host (sd_booted(3)). */
export const BOOTED = '/run/systemd/system';

/** `booted` says whether systemd runs this host. */
export function createUnits(
  systemctl: string | null,
  booted: () => boolean = () => existsSync(BOOTED),
): Units {
  const lack = (unit: string): string | null => {
    if (!UNIT.test(unit)) return `"${unit}" is not the name of a unit`;
    if (systemctl === null) return 'systemctl is not installed (Debian package systemd)';
    return booted() ? null : 'systemd does not run this host; use a command resource instead of a unit';
  };
  const change = async (verb: 'start' | 'stop', unit: string, timeoutMs: number): Promise<Outcome> => {
    const says = lack(unit);
    if (says !== null) return { kind: 'failed', says };
    const argv = [systemctl ?? '', '--no-ask-password', verb, '--', unit];
    const result = await runProgram(argv, { timeoutMs });
    if (result.kind === 'exited' && result.status === 0) return { kind: 'done' };
    return { kind: 'failed', says: explainResult(argv, result) };
  };
  return {
    start: (unit, timeoutMs) => change('start', unit, timeoutMs),
    stop: (unit, timeoutMs) => change('stop', unit, timeoutMs),
    state: async (unit, timeoutMs) => {
      if (lack(unit) !== null) return 'unknown';
      const argv = [systemctl ?? '', 'show', '--property=LoadState,ActiveState', '--', unit];
      const result = await runProgram(argv, { timeoutMs });
      return result.kind === 'exited' && result.status === 0 ? parseState(result.output) : 'unknown';
    },
    stopCommands: (unit) =>
      systemctl === null || !UNIT.test(unit) ? [] : [[systemctl, '--no-ask-password', 'stop', '--', unit]],
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
