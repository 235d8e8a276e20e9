/**
 * Dynamic DNS updates (RFC 2136) with BIND's nsupdate, signed (TSIG, RFC 8945) when there is a key file.
 */
import { access, constants } from 'node:fs/promises';
import type { DnsUpdate, Outcome } from '../platform.ts';
import { parseCidr } from './cidr.ts';
import { explainResult, runProgram } from './commands.ts';

/** Letters, digits, hyphens, underscores and dots: nothing that could be a second line for nsupdate. */
const NAME = /^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$/;

/** Replaces all addresses of the name, of both families, in one transaction. A dead server is a failed outcome in time. */
export async function updateDns(nsupdate: string | null, update: DnsUpdate): Promise<Outcome> {
  if (nsupdate === null) return failed('nsupdate is not installed (Debian package bind9-dnsutils)');
  const script = updateScript(update);
  if (script.kind === 'failed') return script;
  if (update.keyFile !== null) {
    try {
      await access(update.keyFile, constants.R_OK);
    } catch {
      return failed(`the DNS key file ${update.keyFile} can't be read`);
    }
  }
  const seconds = Math.max(1, Math.ceil(update.timeoutMs / 1000));
  const key = update.keyFile === null ? [] : ['-k', update.keyFile];
  const argv = [nsupdate, '-t', String(seconds), ...key];
  const result = await runProgram(argv, { timeoutMs: update.timeoutMs, input: script.text });
  if (result.kind === 'exited' && result.status === 0) return { kind: 'done' };
  return failed(`${update.name} could not be updated at ${update.server}: ${explainResult(argv, result)}`);
}

type Script =
  { readonly kind: 'script'; readonly text: string } | { readonly kind: 'failed'; readonly says: string };

/** What nsupdate reads (nsupdate(1)), or what is wrong with the update. */
export function updateScript(update: DnsUpdate): Script {
  const server = /^(?:\[([^\]\s]+)\]|([^\s:]+)|([0-9A-Fa-f:]+))(?::(\d+))?$/.exec(update.server);
  if (server === null)
    return { kind: 'failed', says: `"${update.server}" is not a name server: write ADDRESS or ADDRESS:PORT` };
  for (const name of [update.zone, update.name]) {
    if (!NAME.test(name)) return { kind: 'failed', says: `"${name}" is not a DNS name` };
  }
  const zone = `${update.zone.replace(/\.$/, '')}.`;
  const given = update.name.replace(/\.$/, '');
  const name = `${given}.`.endsWith(`.${zone}`) || `${given}.` === zone ? `${given}.` : `${given}.${zone}`;
  const adds: string[] = [];
  for (const cidr of update.addresses) {
    const parsed = parseCidr(cidr);
    if (parsed === null) return { kind: 'failed', says: `${cidr} is not an address` };
    const type = parsed.family === 'ipv4' ? 'A' : 'AAAA';
    adds.push(`update add ${name} ${Math.max(0, Math.round(update.ttlSeconds))} ${type} ${parsed.address}`);
  }
  const host = server[1] ?? server[2] ?? server[3] ?? '';
  const lines = [
    `server ${host} ${server[4] ?? '53'}`,
    `zone ${zone}`,
    `update delete ${name} A`,
    `update delete ${name} AAAA`,
    ...adds,
    'send',
    '',
  ];
  return { kind: 'script', text: lines.join('\n') };
}

function failed(says: string): { readonly kind: 'failed'; readonly says: string } {
  return { kind: 'failed', says };
}
