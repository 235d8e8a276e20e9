/** Which life of this host it is: what one process left in memory is there for the next, as long as this is the same. */

import { readFileSync } from 'node:fs';

/** Empty when the kernel does not tell; then every start counts as one after a loss of power. Source: random(4). */
export function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch (error) {
    if (typeof error === 'object' && error !== null && 'code' in error) return '';
    throw error;
  }
}
