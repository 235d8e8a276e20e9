/**
 * ICMP echo, through the `ping` package, which runs the system's ping. For diagnosis only: never on the path of a decision
 * that must be quick.
 */
import { isIP } from 'node:net';
import ping from 'ping';
import type { Echo } from '../platform.ts';

/** What the program may need to start and end, beside the time asked for. */
const OVERHEAD_MS = 200;

export function createEcho(): Echo {
  return {
    /** False also where the system's ping is missing: `missing()` names that. */
    ping: async (address, timeoutMs) => {
      if (isIP(address) === 0) return false;
      const config = { numeric: true, timeout: timeoutMs / 1000, min_reply: 1, v6: isIP(address) === 6 };
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<boolean>((resolve) => {
        timer = setTimeout(() => resolve(false), timeoutMs + OVERHEAD_MS);
      });
      const answered = ping.promise.probe(address, config).then(
        (response) => response.alive,
        () => false,
      );
      try {
        return await Promise.race([answered, late]);
      } finally {
        clearTimeout(timer);
      }
    },
  };
}
