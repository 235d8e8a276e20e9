/** An agent of the Open Cluster Framework as a resource: what it is told, what it answers, and what is said of that. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ResourceConfig, ResourceKind } from '@holdfast/core';
import { CommandRuns } from '../src/command-runs.ts';
import { createCommands } from '../src/platform/linux/commands.ts';
import type { Platform } from '../src/platform/platform.ts';
import { Resources } from '../src/resources.ts';
import { lacksOf } from '../src/volumes/needs.ts';

/** Written as those of the package resource-agents are: running is a file, and 7 is "not running". */
const agent = `#!/bin/sh
[ "$OCF_RA_VERSION_MAJOR" = 1 ] || exit 5
state="$OCF_RESKEY_state"
[ -n "$state" ] || { echo "no state parameter" >&2; exit 6; }
case "$1" in
  start) env | grep ^OCF_ | sort > "$state";;
  stop) rm -f "$state";;
  monitor) [ -e "$state" ] || exit 7;;
  *) exit 3;;
esac
`;

let dir: string;
let resources: Resources;
const before = process.env['OCF_ROOT'];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'holdfast-ocf-'));
  process.env['OCF_ROOT'] = dir;
  mkdirSync(join(dir, 'resource.d', 'heartbeat'), { recursive: true });
  writeFileSync(join(dir, 'resource.d', 'heartbeat', 'Dummy'), agent, { mode: 0o755 });
  const runs = new CommandRuns('a', createCommands(), () => Promise.resolve([]));
  resources = new Resources({} as Platform, runs, dir);
});
afterEach(() => {
  if (before === undefined) delete process.env['OCF_ROOT'];
  else process.env['OCF_ROOT'] = before;
  rmSync(dir, { recursive: true });
});

const state = (): string => join(dir, 'its state');
const dummy = (parameters: Readonly<Record<string, string>>, type = 'Dummy'): ResourceConfig => ({
  name: 'fs',
  runs: { kind: 'ocf', provider: 'heartbeat', type, parameters } satisfies ResourceKind,
  monitor: { everyMs: 10_000, timeoutMs: 5_000, restarts: 3 },
  startTimeoutMs: 5_000,
  stopTimeoutMs: 5_000,
});
const purpose = { group: 'd3', epoch: 7n, peer: 'b', wanted: () => true };

describe('an OCF agent', () => {
  it('is started, looked at and stopped, and is told its parameters', async () => {
    const resource = dummy({ state: state(), fstype: 'ext4' });
    expect(await resources.look(resource, purpose)).toEqual({
      state: 'failed',
      says: 'heartbeat:Dummy monitor: not running',
    });
    expect(await resources.start(resource, purpose)).toEqual({ kind: 'done' });
    expect(readFileSync(state(), 'utf8').trim().split('\n')).toEqual([
      'OCF_RA_VERSION_MAJOR=1',
      'OCF_RA_VERSION_MINOR=1',
      'OCF_RESKEY_fstype=ext4',
      `OCF_RESKEY_state=${state()}`,
      'OCF_RESOURCE_INSTANCE=fs',
      'OCF_RESOURCE_PROVIDER=heartbeat',
      'OCF_RESOURCE_TYPE=Dummy',
      `OCF_ROOT=${dir}`,
    ]);
    expect(await resources.look(resource, purpose)).toEqual({ state: 'running', says: '' });
    expect(await resources.stop(resource, purpose)).toEqual({ kind: 'done' });
    expect(await resources.stop(resource, purpose, 1_000)).toEqual({ kind: 'done' });
    expect(existsSync(state())).toBe(false);
  });

  it('that answers with an error is told in its words', async () => {
    expect(await resources.start(dummy({}), purpose)).toEqual({
      kind: 'failed',
      says: 'heartbeat:Dummy start: not configured (no state parameter)',
    });
  });

  it('that is not installed is a problem of this server, with what to do', () => {
    expect(lacksOf(dummy({}).runs)).toEqual([]);
    expect(lacksOf(dummy({}, 'Filesystem').runs)).toEqual([
      {
        says: `the OCF agent heartbeat:Filesystem can't be run: there is no program ${dir}/resource.d/heartbeat/Filesystem`,
        fix: 'install it on this server (Debian package resource-agents), or correct ocf.agent',
      },
    ]);
  });
});
