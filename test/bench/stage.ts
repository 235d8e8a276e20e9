/**
 * A lab with what measures in it: responders on the servers a and b, a probe on the client. The same stage for Holdfast
 * and for its peers, so that they are compared like with like.
 *
 * Invariants
 * T1: the lab is tied to this process, so that no end of it leaves anything behind.
 * T2: what runs here for the measurement is never a victim of a fault that means "everything of ours".
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLab, type Lab } from '@holdfast/lab';
import { startClient, type Client } from './client.ts';
import { sharedMs } from './holdings.ts';
import { monotonicMs } from './lines.ts';
import { watchedServer, type WatchedServer } from './watched-server.ts';

export const serverNames = ['a', 'b'] as const;
export type ServerName = (typeof serverNames)[number];

export const virtualAddress = '10.77.0.100';

export interface Stage {
  readonly lab: Lab;
  readonly client: Client;
  readonly servers: Readonly<Record<ServerName, WatchedServer>>;
  /** The server that holds the virtual address now, when it is exactly one. */
  holder(): ServerName | undefined;
  /** Milliseconds during which the address was on both, since the responders were started. */
  sharedMs(): number;
}

export const otherServer = (name: ServerName): ServerName => (name === 'a' ? 'b' : 'a');

export async function withStage<Result>(
  hosts: readonly string[],
  act: (stage: Stage) => Promise<Result>,
): Promise<Result> {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-bench-'));
  let lab: Lab | null = null;
  try {
    lab = await createLab({ dir, hosts, tied: true }); // T1
    const servers = {
      a: watchedServer(lab.host('a'), virtualAddress),
      b: watchedServer(lab.host('b'), virtualAddress),
    };
    await servers.a.start();
    await servers.b.start();
    return await act({
      lab,
      client: startClient(lab.host('client'), virtualAddress, 5),
      servers,
      holder: () => {
        const holding = serverNames.filter((name) => servers[name].holdsNow());
        return holding.length === 1 ? holding[0] : undefined;
      },
      sharedMs: () => sharedMs(servers.a.holdings(), servers.b.holdings(), monotonicMs()),
    });
  } finally {
    await lab?.down();
    rmSync(dir, { recursive: true, force: true });
  }
}
