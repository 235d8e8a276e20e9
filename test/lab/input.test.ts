/** Bad input: each gives one clear error that says what to do, the exit status of the contract, and loses nothing. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bringUp, type LabCluster } from '@holdfast/cli';
import { createLab, type ExecResult, type Host, type Lab } from '@holdfast/lab';
import { quickDisk, removeDisk } from './quick-disk.ts';
import { until } from './until.ts';

const entry = join(import.meta.dirname, '../../services/cli/bin/holdfast.js');
const storyMs = 60_000;
const endMs = 30_000;

describe('bad input', () => {
  let lab: Lab;
  let cluster: LabCluster;
  let b: Host;
  let used = 0;
  let dir = '';

  beforeAll(async () => {
    lab = await createLab({
      dir: quickDisk('input'),
      hosts: ['a', 'b'],
      tied: true,
    });
    cluster = await bringUp(lab, { hosts: ['a'], config: null });
    b = lab.host('b');
  }, 120_000);
  afterAll(async () => {
    await lab.down();
    removeDisk(lab.dir);
  }, 30_000);

  /** On host b, in a directory of the story's own. */
  const holdfast = (...args: readonly string[]): Promise<ExecResult> =>
    b.exec([process.execPath, entry, ...args], {
      env: { HOLDFAST_DIR: dir },
      timeoutMs: endMs,
    });
  const init = (...args: readonly string[]): Promise<ExecResult> =>
    holdfast('init', '--node', 'b', '--address', b.addresses.service, ...args);
  const newDirectory = (): void => {
    used += 1;
    dir = join(lab.dir, `member-${used}`);
  };
  const token = async (...args: readonly string[]): Promise<string> =>
    (await cluster.must('a', 'token', '--role', 'server', ...args)).trim().split('\n').at(-1) ?? '';
  const join_ = (text: string, address = b.addresses.service): Promise<ExecResult> =>
    holdfast(
      'join',
      '--seed',
      lab.host('a').addresses.service,
      '--token',
      text,
      '--node',
      `s${used}`,
      '--address',
      address,
    );

  function story(what: string, act: () => Promise<void>): void {
    it(
      what,
      async () => {
        newDirectory();
        await act();
      },
      storyMs,
    );
  }

  story('a missing etcd: `run` ends with 2 and names the package', async () => {
    expect(await init()).toMatchObject({ status: 0 });
    const { status, stderr } = await b.exec(['env', 'PATH=/nowhere', process.execPath, entry, 'run'], {
      env: { HOLDFAST_DIR: dir },
      timeoutMs: endMs,
    });
    expect(stderr).toMatch(/etcd is not installed: apt-get install etcd-server/);
    expect(status).toBe(2);
  });

  story('a missing arping: `check` ends with 1, and names the package', async () => {
    const a = lab.host('a');
    const arping = (await a.exec(['sh', '-c', 'readlink -f "$(command -v arping)"'])).stdout.trim();
    await hidden(a, arping, async () => {
      // What there is to run is looked up when the agent starts.
      await a.killProcess(Number.parseInt(readFileSync(join(a.dir, 'run', 'agent.pid'), 'utf8'), 10));
      const problems = await until('the problem is found', 45_000, async () => {
        const { status, stdout } = await cluster.holdfast('a', 'check', '-o', 'json');
        return stdout.includes('arping') && { status, stdout };
      });
      expect(problems.stdout).toMatch(/apt-get install iputils-arping/);
      expect(problems.status).toBe(1);
    });
  });

  story('a port in use: `run` ends and names the port', async () => {
    expect(await init()).toMatchObject({ status: 0 });
    const listener = b.spawn([
      process.execPath,
      '-e',
      "require('net').createServer().listen(7443, '0.0.0.0', () => console.log('listens'))",
    ]);
    try {
      await new Promise((resolve) => listener.stdout?.once('data', resolve));
      const { status, stderr } = await holdfast('run');
      expect(stderr).toMatch(/7443/);
      expect(stderr).toMatch(/in use|--port/);
      expect([1, 2]).toContain(status);
    } finally {
      listener.kill('SIGKILL');
    }
  });

  story('no permission: `run` ends and says whose file it is', async () => {
    expect(await init()).toMatchObject({ status: 0 });
    const { status, stderr } = await b.exec(
      [
        'setpriv',
        '--reuid=65534',
        '--clear-groups',
        '--inh-caps=-all',
        '--bounding-set=-all',
        process.execPath,
        entry,
        'status',
      ],
      { env: { HOLDFAST_DIR: dir }, timeoutMs: endMs },
    );
    expect(stderr).toMatch(/may not be read|permission/i);
    expect(stderr).toContain(dir);
    expect(status).toBe(2);
  });

  story('garbage as a token: 2, and the directory is not touched', async () => {
    const { status, stderr } = await join_('garbage');
    expect(status).toBe(2);
    expect(stderr).toMatch(/--token/);
    expect(entries(dir)).toEqual([]);
  });

  story('a mistyped token is refused, and the directory is not touched', async () => {
    const good = await token();
    const { status, stderr } = await join_(mistyped(good));
    expect(status).not.toBe(0);
    expect(stderr).toMatch(/token/);
    expect(entries(dir)).toEqual([]);
  });

  story('an expired token is refused, and says so', async () => {
    const short = await token('--ttl', '1s');
    await until(
      'the token is expired',
      5_000,
      (
        (from) => () =>
          Date.now() - from > 1_500
      )(Date.now()),
    );
    const { status, stderr } = await join_(short);
    expect(status).not.toBe(0);
    expect(stderr).toMatch(/expired/);
    expect(entries(dir)).toEqual([]);
  });

  story('nobody at the seed: 3, and the token is not spent', async () => {
    const good = await token();
    const { status, stderr } = await holdfast(
      'join',
      '--seed',
      '10.77.0.99',
      '--token',
      good,
      '--node',
      `s${used}`,
      '--address',
      b.addresses.service,
    );
    expect(status).toBe(3);
    expect(stderr).toMatch(/10\.77\.0\.99/);
    expect(entries(dir)).toEqual([]);
    expect(await join_(good)).toMatchObject({ status: 0 });
    const again = await holdfastIn(
      b,
      `${dir}-again`,
      'join',
      '--seed',
      lab.host('a').addresses.service,
      '--token',
      good,
      '--node',
      'b2',
      '--address',
      b.addresses.service,
    );
    expect(again.status).not.toBe(0);
    expect(again.stderr).toMatch(/used|spent|unknown/);
  });

  story('a half-written state directory: 2, the file is named, and nothing is deleted', async () => {
    expect(await init()).toMatchObject({ status: 0 });
    const whole = `${dir}-whole`;
    cpSync(dir, whole, { recursive: true });
    const record = readdirSync(dir).find((name) => name.endsWith('.json')) ?? 'member.json';
    for (const spoil of [
      () => writeFileSync(join(dir, record), readFileSync(join(dir, record), 'utf8').slice(0, 40)),
      () => rmSync(join(dir, 'pki', 'member.key')),
      () => writeFileSync(join(dir, 'pki', 'member.crt'), ''),
    ]) {
      rmSync(dir, { recursive: true });
      cpSync(whole, dir, { recursive: true });
      spoil();
      const before = entries(dir);
      const { status, stderr } = await holdfast('run');
      expect(status).toBe(2);
      expect(stderr).toContain(dir);
      expect(entries(dir)).toEqual(before);
    }
  });

  story('an expired certificate: 2, with the date', async () => {
    expect(await init()).toMatchObject({ status: 0 });
    await certify(b, 'expired', dir, dir);
    const { status, stderr } = await holdfast('run');
    expect(stderr).toMatch(/expired on \d{4}-/);
    expect(status).toBe(2);
  });

  story('the certificate of another cluster is refused by name', async () => {
    expect(await init('--cluster', 'other')).toMatchObject({ status: 0 });
    const mine = dir;
    newDirectory();
    const joined = await join_(await token(), b.addresses.private);
    expect([joined.status, joined.stderr]).toEqual([0, '']);
    await certify(b, 'stranger', mine, dir);
    const { status, stderr } = await holdfast('status');
    expect(stderr).toMatch(/authority|certificate/);
    expect([2, 3]).toContain(status);
    // And nothing of it has hurt the member that was asked.
    expect((await cluster.status('a'))?.quorum.healthy).toBe(true);
  });

  story('a second `run` in one directory is told of the first', async () => {
    const { status, stderr } = await cluster.holdfast('a', 'run');
    expect(status).toBe(1);
    expect(stderr).toMatch(/another `holdfast run` uses it \(process \d+\)/);
    expect((await cluster.status('a'))?.quorum.healthy).toBe(true);
  });

  story('no directory: 2, with what to do', async () => {
    const { status, stderr } = await holdfast('status');
    expect(status).toBe(2);
    expect(stderr).toMatch(/init|join/);
  });
});

const holdfastIn = (host: Host, dir: string, ...args: readonly string[]): Promise<ExecResult> =>
  host.exec([process.execPath, entry, ...args], {
    env: { HOLDFAST_DIR: dir },
    timeoutMs: endMs,
  });

/** All files below, by name; none when there is nothing. */
function entries(dir: string): string[] {
  try {
    return readdirSync(dir, { recursive: true })
      .map(String)
      .filter((name) => !name.startsWith('run'))
      .sort();
  } catch {
    return [];
  }
}

async function certify(
  host: Host,
  how: 'expired' | 'stranger',
  authorityDir: string,
  memberDir: string,
): Promise<void> {
  const made = await host.exec([
    process.execPath,
    join(import.meta.dirname, 'programs/certify.js'),
    how,
    authorityDir,
    memberDir,
  ]);
  expect(made).toMatchObject({ status: 0, stderr: '' });
}

/** The program is not there, on this host only: its mounts are its own. */
async function hidden(host: Host, program: string, act: () => Promise<void>): Promise<void> {
  expect(await host.exec(['mount', '--bind', '/dev/null', program])).toMatchObject({ status: 0 });
  try {
    await act();
  } finally {
    await host.exec(['umount', program]);
  }
}

/** The same token with one character exchanged. */
function mistyped(token: string): string {
  const at = token.length - 6;
  const other = token[at] === 'A' ? 'B' : 'A';
  return token.slice(0, at) + other + token.slice(at + 1);
}
