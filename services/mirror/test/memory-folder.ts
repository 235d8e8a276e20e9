/** Where tests have their files that would wait for a disk most of the time: in memory, if there is a place for that. */

import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';

/** HOLDFAST_TEST_MEMORY names one that whoever started us removes, also when we are killed (scripts/test). */
export const memoryFolder = (): string =>
  process.env['HOLDFAST_TEST_MEMORY'] ?? (existsSync('/dev/shm') ? '/dev/shm' : tmpdir());
