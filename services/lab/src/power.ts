// The power of a host. Off means off: its frames stop first, then everything that ran is killed, then its namespaces go,
// and with them all that a real host keeps in memory (addresses, routes, /run, its boot id). Its files stay.
//
// Invariants
// W1: no process of a host runs after powerOff has returned.
// W2: nothing that a host sends while it is being powered off reaches another host: its ports go down before the first kill.
// W3: every power-on is a new boot: new boot id, initial addresses only. Pulled cables, partitions and rates are outside
//     the host and stay.
import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from './command.ts';
import { ownFolders } from './disk.ts';
import { intoSwitch, startHolder } from './namespaces.ts';
import { hostsFile } from './plan.ts';
import { inNetworkNamespace, isAlive, marked, networkNamespaceOf, signalUntilNone } from './process.ts';
import { hostIn, withHost, type HostState, type LabState } from './state.ts';
import { cutOff, plugIn, unplug } from './switch.ts';

/** The lab's private files of a host: what is mounted over /etc/hosts and its like. */
export const privateFolder = (dir: string, name: string): string => join(dir, 'hosts', name, 'private');

/** Holdfast's own directory on a host; it survives power cuts, as a disk does. */
export const holdfastDir = (dir: string, name: string): string => join(dir, 'hosts', name, 'holdfast');

/** The mark of all processes of one host, within the mark of its lab. */
export const hostMark = (mark: string, name: string): string => `${mark}${name}:`;

export async function powerOn(
  dir: string,
  mark: string,
  state: LabState,
  host: HostState,
): Promise<LabState> {
  if (host.holder !== null && isAlive(host.holder)) return state;
  // What an interrupted power-off (or a holder killed by hand) left behind must not meet the new boot.
  const clean = await powerOff(mark, state, host);
  return boot(dir, mark, clean, hostIn(clean, host.name));
}

/** Boots a host of which nothing runs. W3. */
export async function boot(dir: string, mark: string, state: LabState, host: HostState): Promise<LabState> {
  const bootId = randomUUID();
  const folder = privateFolder(dir, host.name);
  mkdirSync(folder, { recursive: true });
  mkdirSync(holdfastDir(dir, host.name), { recursive: true });
  const machineId = `${host.number}`.padStart(32, '0');
  // The disk of a host: made once, so that what a host writes into its /etc/hosts outlives a power cut.
  writeOnce(join(folder, 'hosts'), hostsFile(state.hosts));
  writeOnce(join(folder, 'machine-id'), `${machineId}\n`);
  writeFileSync(join(folder, 'boot_id'), `${bootId}\n`);
  const holder = await startHolder(state, mark, host.name, folder, ownFolders(dir, host.name));
  const on = { ...host, holder: holder.who, bootId, bootIdBound: holder.said.includes('boot_id') };
  const next = withHost(state, on);
  await plugIn(next, on);
  return next;
}

/** Idempotent; finishes what an interrupted power-off began. */
export async function powerOff(mark: string, state: LabState, host: HostState): Promise<LabState> {
  intoSwitch(state); // a lab in ruins is an error here, before anything is killed
  await cutOff(state, host); // W2
  const { holder } = host;
  const alive = holder !== null && isAlive(holder) ? holder.pid : undefined;
  const namespace = alive === undefined ? undefined : networkNamespaceOf(alive);
  const others = (): number[] => {
    const found = new Set([
      ...(namespace === undefined ? [] : inNetworkNamespace(namespace)),
      ...marked(hostMark(mark, host.name)),
    ]);
    if (alive !== undefined) found.delete(alive);
    return [...found];
  };
  // The holder goes last: it keeps the namespace, so its number cannot be another's while we kill by it.
  await signalUntilNone('SIGKILL', others, `cannot power off host ${host.name}`);
  await signalUntilNone(
    'SIGKILL',
    () => marked(hostMark(mark, host.name)),
    `cannot power off host ${host.name}`,
  );
  await unplug(state, host);
  return withHost(state, { ...host, holder: null });
}

function writeOnce(file: string, text: string): void {
  try {
    writeFileSync(file, text, { flag: 'wx' });
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error; // the disk keeps what the host wrote
  }
}
