/** Volumes that are served to real clients, and the programs that are such clients. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { NbdServer } from '../src/volumes/nbd/server.ts';
import { PlainVolume } from '../src/volumes/plain-volume.ts';
import { FileStore } from '../src/volumes/store/file-store.ts';
import type { Volume } from '../src/volumes/volume.ts';
import { VolumeMember } from './volume-members.ts';

const limitMs = 50_000;
const run = promisify(execFile);

/** What it printed; rejects with what it complained about. */
export async function program(name: string, ...args: string[]): Promise<string> {
  const { stdout } = await run(name, args, { timeout: limitMs, maxBuffer: 1 << 26 });
  return stdout;
}

export interface Export {
  readonly folder: string;
  readonly image: string;
  readonly socketPath: string;
  readonly uri: string;
  close(): Promise<void>;
}

interface LoopExport extends Export {
  readonly server: NbdServer;
}

const uriOf = (socketPath: string): string => `nbd+unix:///disk?socket=${socketPath}`;

export async function exportOf(
  sizeBytes: number,
  options: { readonly readOnly?: boolean; readonly over?: (volume: Volume) => Volume } = {},
): Promise<LoopExport> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-nbd-'));
  const image = join(folder, 'image');
  const store = FileStore.open(image, true);
  store.resize(sizeBytes);
  const plain = new PlainVolume(store, sizeBytes);
  const socketPath = join(folder, 'nbd.sock');
  const server = await NbdServer.listen({
    socketPath,
    name: 'disk',
    volume: options.over?.(plain) ?? plain,
    readOnly: options.readOnly ?? false,
    says: () => undefined,
  });
  return {
    folder,
    image,
    socketPath,
    uri: uriOf(socketPath),
    server,
    close: async () => {
      await server.close();
      store.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** As an owner serves it: by a real mirror process, whose target never comes. */
export async function ownerExportOf(sizeBytes: number): Promise<Export> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-nbd-'));
  const [owner, absent] = await VolumeMember.pair({ folder, mode: 'async', sizeBytes });
  owner.start();
  owner.beSource(1n, absent);
  (await owner.client()).close();
  const { image, socketPath } = owner;
  return {
    ...{ folder, image, socketPath, uri: uriOf(socketPath) },
    close: async () => {
      await owner.kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Both kinds of servers: of opened copies, and of owners. */
export const servers: readonly [string, (sizeBytes: number) => Promise<Export>][] = [
  ['in an event loop', exportOf],
  ['in a thread of its own', ownerExportOf],
];
