/** The cluster.yaml of the lab: one group, an address, a service that tells who answers, and a folder that is mirrored. */
import { fileURLToPath } from 'node:url';

export const labGroup = 'd3';
export const labAddress = '10.77.0.100';
export const labPort = 8080;
/** /srv is each host's own (the lab's disk.ts). */
export const labRoot = '/srv/d3';

const service = fileURLToPath(new URL('../../assets/lab-service.js', import.meta.url));
const serviceStatus = fileURLToPath(new URL('../../assets/lab-service-status.sh', import.meta.url));
const state = '/run/holdfast-lab';

/**
 * `servers` in order of preference; `outage` as in cluster.yaml, such as 5s. `records`: the service writes numbered records
 * into the mirrored folder all the time.
 */
export function labConfig(servers: readonly string[], outage: string, records = false): string {
  // Not by package name or PATH: the guard runs the same command when everything else is gone.
  const command = (verb: string): string =>
    JSON.stringify([
      process.execPath,
      service,
      verb,
      '--state',
      state,
      '--port',
      String(labPort),
      ...(records ? ['--data', labRoot] : []),
    ]);
  return `# Made by \`holdfast lab up\`. Change it and run: holdfast lab exec ${servers[0] ?? 'a'} -- holdfast apply -f THIS-FILE
groups:
  ${labGroup}:
    servers: [${servers.join(', ')}]
    outage: ${outage}
    takeover: automatic
    failback: manual
    identity:
      mode: add
      addresses: [${labAddress}/24]
    resources:
      - name: web
        command:
          start: ${command('start')}
          stop: ${command('stop')}
          status: ${JSON.stringify([serviceStatus, state, String(labPort)])}
        monitor: { every: 2s, timeout: 2s, restarts: 3 }
        startTimeout: 10s
        stopTimeout: 2s
    mirrors:
      data:
        files: { root: ${labRoot} }
`;
}
