/** Configurations of the stories: small groups whose hooks and resources a test can hold or make fail (programs/point.sh). */
import { join } from 'node:path';

export const virtualAddress = '10.77.0.100';
export const web = `http:${virtualAddress}`;

/** Long enough that a busy machine does not fence a healthy owner; the rules scale down to 3s. */
export const outage = '5s';
export const outageMs = 5_000;

const assets = join(import.meta.dirname, '../../services/cli/assets');
const service = join(assets, 'lab-service.js');
const status = join(assets, 'lab-service-status.sh');
const state = '/run/holdfast-lab';
const point = join(import.meta.dirname, 'programs/point.sh');

export const argv = (words: readonly string[]): string => JSON.stringify(words);

/** A hook or command that passes a point. */
export const passes = (points: string, name: string): string => argv(['sh', point, points, name]);

/**
 * The lab's web service: each answer names server and epoch. `data`: a folder to which it writes numbered records all the
 * time; then each answer tells of them, too.
 */
export function webResource(data?: string): string {
  const writes = data === undefined ? [] : ['--data', data];
  const command = (verb: string): string =>
    argv([process.execPath, service, verb, '--state', state, '--port', '8080', ...writes]);
  return `      - name: web
        command: { start: ${command('start')}, stop: ${command('stop')}, status: ${argv([status, state, '8080'])} }
        monitor: { every: 1s, timeout: 2s, restarts: 2 }
        startTimeout: 10s
        stopTimeout: 2s
`;
}

/** A resource that does nothing but pass the points start and stop. */
export function pointResource(points: string): string {
  return `      - name: point
        command: { start: ${passes(points, 'start')}, stop: ${passes(points, 'stop')} }
        startTimeout: 10s
        stopTimeout: 2s
`;
}

/** Hooks at every point, by the names of the points. */
export function pointHooks(points: string, timeout = '10s'): string {
  const names = ['beforeTakeover', 'afterTakeover', 'beforeRelease', 'afterRelease'];
  const hooks = names.map(
    (name) => `      ${name}: [{ command: ${passes(points, name)}, timeout: ${timeout} }]`,
  );
  return `    hooks:\n${hooks.join('\n')}\n`;
}

export interface GroupOptions {
  readonly name?: string;
  readonly servers?: readonly string[];
  readonly addresses?: readonly string[];
  /** More lines of the group, each with its indentation of four. */
  readonly more?: string;
  readonly outage?: string;
  /** Lines of resources; default the web service. */
  readonly resources?: string;
}

/** As many failovers as these stories make would be held otherwise. */
export function group(options: GroupOptions = {}): string {
  const {
    name = 'd3',
    servers = ['a', 'b'],
    addresses = [virtualAddress],
    more = '',
    resources = webResource(),
    outage: silence = outage,
  } = options;
  const listed = addresses
    .map((address) => `'${address}${address.includes(':') ? '/64' : '/24'}'`)
    .join(', ');
  return `  ${name}:
    servers: [${servers.join(', ')}]
    outage: ${silence}
    failoversPerHour: 100
    identity: { mode: add, addresses: [${listed}] }
${more}${resources === '' ? '' : `    resources:\n${resources}`}`;
}

export const clusterYaml = (...groups: readonly string[]): string => `groups:\n${groups.join('')}`;
