/**
 * The watchdog device (Linux kernel documentation, watchdog/watchdog-api): opening it starts its countdown, each write
 * begins it anew, and closing it stops it only when the last byte written was 'V' (magic close). The guard's death
 * leaves it counting: that is wanted.
 *
 * How long the countdown is, is the device's own setting (its `timeout` below /sys/class/watchdog); Node has no ioctl.
 */

import { closeSync, constants, openSync, writeSync } from 'node:fs';

export type WatchdogResult = { readonly kind: 'ok' } | { readonly kind: 'failed'; readonly says: string };

export class WatchdogDevice {
  #fd: number | null = null;

  open(device: string): WatchdogResult {
    return attempt(() => {
      if (this.#fd !== null) throw new Error('a watchdog is open already');
      this.#fd = openSync(device, constants.O_WRONLY);
      writeSync(this.#fd, '1');
    });
  }

  pet(): WatchdogResult {
    return attempt(() => {
      if (this.#fd !== null) writeSync(this.#fd, '1');
    });
  }

  /** Stops the countdown. */
  closeOrderly(): WatchdogResult {
    const fd = this.#fd;
    this.#fd = null;
    if (fd === null) return { kind: 'ok' };
    return attempt(() => {
      try {
        writeSync(fd, 'V');
      } finally {
        closeSync(fd);
      }
    });
  }

  /** Lets go of a device that failed, so that it can be opened again; its countdown goes on. */
  abandon(): WatchdogResult {
    const fd = this.#fd;
    this.#fd = null;
    return fd === null ? { kind: 'ok' } : attempt(() => closeSync(fd));
  }
}

function attempt(act: () => void): WatchdogResult {
  try {
    act();
    return { kind: 'ok' };
  } catch (error) {
    return { kind: 'failed', says: error instanceof Error ? error.message : String(error) };
  }
}
