/**
 * Watchdog devices, from outside (Linux kernel documentation, watchdog/watchdog-api and ABI/testing/sysfs-class-watchdog).
 * /dev/watchdog is another name of the first, /dev/watchdog0.
 */
import { accessSync, constants, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Watchdogs, WatchdogState } from '../platform.ts';

export function createWatchdogs(classDir = '/sys/class/watchdog'): Watchdogs {
  return {
    look(device): WatchdogState {
      let path: string;
      try {
        path = realpathSync(device);
        if (!statSync(path).isCharacterDevice())
          return { kind: 'unusable', says: `${device} is not a device` };
        accessSync(path, constants.W_OK);
      } catch (error) {
        return { kind: 'unusable', says: error instanceof Error ? error.message : String(error) };
      }
      const name = basename(path) === 'watchdog' ? 'watchdog0' : basename(path);
      return { kind: 'usable', timeoutMs: timeoutOf(join(classDir, name, 'timeout')) };
    },
  };
}

function timeoutOf(file: string): number | null {
  try {
    const seconds = Number(readFileSync(file, 'utf8').trim());
    return Number.isFinite(seconds) && seconds > 0 ? seconds * 1_000 : null;
  } catch {
    // A kernel without CONFIG_WATCHDOG_SYSFS.
    return null;
  }
}
