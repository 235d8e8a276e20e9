// The words of `holdfast lab fault`: parsed once into a value, then carried out on a lab.
import { LabError } from './error.ts';
import type { Host } from './host.ts';
import type { Lab } from './lab.ts';
import { networks, type Network } from './plan.ts';
import type { ProcessView } from './process.ts';

export type Fault =
  | { readonly kind: 'power-off' | 'power-on' | 'freeze' | 'thaw'; readonly host: string }
  | {
      readonly kind: 'kill' | 'freeze-process' | 'thaw-process';
      readonly host: string;
      readonly pattern: string;
    }
  | { readonly kind: 'pull' | 'plug'; readonly host: string; readonly networks: readonly Network[] }
  | { readonly kind: 'partition'; readonly from: string; readonly to: string; readonly oneWay: boolean }
  | {
      readonly kind: 'rate';
      readonly host: string;
      readonly network: Network;
      readonly bitsPerSecond: number | null;
    }
  | { readonly kind: 'heal' };

export const faultGrammar = `power-off HOST                     cut its power: everything on it ends at once (what was written stays, synced or not)
power-on HOST                      a new boot, with nothing running
freeze HOST                        stop all its processes (SIGSTOP)
thaw HOST                          let them run again
kill HOST PATTERN                  SIGKILL the processes whose command line contains PATTERN
freeze-process HOST PATTERN        stop these processes
thaw-process HOST PATTERN          let them run again
pull HOST [service|private]        pull a cable, or both
plug HOST [service|private]        plug it in again
partition HOST1 HOST2 [--one-way]  lose what they send to each other; one way: what HOST1 sends to HOST2
rate HOST service|private BITS     slow line, bits per second; "off" takes the limit off
heal                               undo all faults; starts no program again`;

/** Throws LabError with the whole grammar for words that are no fault. */
export function parseFault(words: readonly string[]): Fault {
  const [kind, first, second, third] = words;
  const bad = (says: string): LabError =>
    new LabError({
      what: `"${words.join(' ')}" is no fault of the lab`,
      says,
      fix: `The faults are:\n${faultGrammar}`,
    });
  const count = (least: number, most: number): void => {
    if (words.length < least) throw bad('a word is missing');
    if (words.length > most) throw bad(`"${words[most] ?? ''}" is too much`);
  };
  switch (kind) {
    case 'power-off':
    case 'power-on':
    case 'freeze':
    case 'thaw':
      count(2, 2);
      return { kind, host: first ?? '' };
    case 'kill':
    case 'freeze-process':
    case 'thaw-process': {
      if (words.length < 3) throw bad('a word is missing');
      return { kind, host: first ?? '', pattern: words.slice(2).join(' ') };
    }
    case 'pull':
    case 'plug': {
      count(2, 3);
      const network = second === undefined ? undefined : asNetwork(second);
      if (second !== undefined && network === undefined) throw bad(`"${second}" is no network`);
      return { kind, host: first ?? '', networks: network === undefined ? networks : [network] };
    }
    case 'partition':
      count(3, 4);
      if (third !== undefined && third !== '--one-way') throw bad(`"${third}" is not --one-way`);
      return { kind, from: first ?? '', to: second ?? '', oneWay: third === '--one-way' };
    case 'rate': {
      count(4, 4);
      const network = asNetwork(second ?? '');
      if (network === undefined) throw bad(`"${second ?? ''}" is no network`);
      if (third !== 'off' && !/^\d+$/.test(third ?? '')) throw bad(`"${third ?? ''}" is no rate`);
      return { kind, host: first ?? '', network, bitsPerSecond: third === 'off' ? null : Number(third) };
    }
    case 'heal':
      count(1, 1);
      return { kind };
    case undefined:
      throw bad('there are no words');
    default:
      throw bad(`"${kind}" is unknown`);
  }
}

const asNetwork = (word: string): Network | undefined => networks.find((network) => network === word);

/** Carries out a fault and returns one sentence that tells what was done. Throws LabError. */
export async function applyFault(lab: Lab, words: readonly string[]): Promise<string> {
  const fault = parseFault(words);
  switch (fault.kind) {
    case 'power-off':
      await lab.host(fault.host).powerOff();
      return `Host ${fault.host} is off.`;
    case 'power-on':
      await lab.host(fault.host).powerOn();
      return `Host ${fault.host} is on; nothing runs on it yet.`;
    case 'freeze':
      await lab.host(fault.host).freeze();
      return `Host ${fault.host} is frozen.`;
    case 'thaw':
      await lab.host(fault.host).thaw();
      return `Host ${fault.host} runs again.`;
    case 'kill':
      return onMatching(lab.host(fault.host), fault.pattern, 'Killed', (host, pid) => host.killProcess(pid));
    case 'freeze-process':
      return onMatching(lab.host(fault.host), fault.pattern, 'Froze', (host, pid) => host.freezeProcess(pid));
    case 'thaw-process':
      return onMatching(lab.host(fault.host), fault.pattern, 'Thawed', (host, pid) => host.thawProcess(pid));
    case 'pull':
      for (const network of fault.networks) await lab.host(fault.host).pullCable(network);
      return `Pulled ${fault.networks.join(' and ')} of host ${fault.host}.`;
    case 'plug':
      for (const network of fault.networks) await lab.host(fault.host).plugCable(network);
      return `Plugged ${fault.networks.join(' and ')} of host ${fault.host}.`;
    case 'partition':
      await lab.partition(fault.from, fault.to, { direction: fault.oneWay ? 'to' : 'both' });
      return fault.oneWay
        ? `What ${fault.from} sends to ${fault.to} is lost.`
        : `${fault.from} and ${fault.to} do not hear each other.`;
    case 'rate':
      await lab.rate(fault.host, fault.network, fault.bitsPerSecond);
      return `The ${fault.network} line of host ${fault.host} is ${fault.bitsPerSecond === null ? 'unlimited' : `${fault.bitsPerSecond} bit/s`}.`;
    case 'heal':
      await lab.heal();
      return 'All faults are undone; programs that ended were not started again.';
  }
}

async function onMatching(
  host: Host,
  pattern: string,
  done: string,
  act: (host: Host, pid: number) => Promise<void>,
): Promise<string> {
  const all = host.views();
  const hit = all.filter(({ command }) => command.includes(pattern));
  if (hit.length === 0)
    throw new LabError({
      what: `nothing on host ${host.name} matches "${pattern}"`,
      says: all.length === 0 ? 'no process runs there' : `there run:\n${all.map(line).join('\n')}`,
      fix: 'Give a part of the command line.',
    });
  for (const { pid } of hit) await act(host, pid);
  return `${done} on host ${host.name}:\n${hit.map(line).join('\n')}`;
}

const line = ({ pid, command }: ProcessView): string => `${pid} ${command}`;
