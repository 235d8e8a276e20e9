import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { labStatus, LabError, type Host } from '../src/index.ts';
import { identityOf, isAlive, type ProcessIdentity } from '../src/process.ts';
import { hears, until, withLab } from './fresh.ts';

/** Starts a program on a host and waits until the host counts it. */
async function startOn(host: Host, ...argv: string[]): Promise<ProcessIdentity> {
  const child = host.spawn(argv, { stdio: 'ignore', detached: true });
  child.unref();
  const pid = child.pid ?? 0;
  await until(`${argv.join(' ')} runs`, () =>
    host.views().some((each) => each.pid === pid && each.command === argv.join(' ')),
  );
  const who = identityOf(pid);
  if (who === undefined) throw new Error(`${argv.join(' ')} ended`);
  return who;
}

describe('the power of a host', () => {
  it('ends everything on it when cut, frozen and hidden processes too, and nothing elsewhere', async () => {
    await withLab({ hosts: ['a', 'b'] }, async (lab) => {
      const [a, b] = [lab.host('a'), lab.host('b')];
      const plain = await startOn(a, 'sleep', '1001');
      const frozen = await startOn(a, 'sleep', '1002');
      await a.freezeProcess(frozen.pid);
      // In a network of its own, as a container has.
      const hidden = a.spawn(['unshare', '--net', 'sleep', '1003'], { stdio: 'ignore', detached: true });
      const hiddenPid = hidden.pid ?? 0;
      await until(
        'the container left the network of its host',
        () => !a.processes().includes(hiddenPid) && identityOf(hiddenPid) !== undefined,
      );
      const inside = identityOf(hiddenPid);
      const other = await startOn(b, 'sleep', '1004');

      await a.powerOff();

      expect([plain, frozen, inside].map((who) => who !== undefined && isAlive(who))).toEqual([
        false,
        false,
        false,
      ]);
      expect(isAlive(other)).toBe(true);
      expect(await hears(b, '10.77.0.11')).toBe(false);
      expect(a.processes()).toEqual([]);
      expect(a.isOn()).toBe(false);
      await expect(a.exec(['true'])).rejects.toThrow(/its power is off/);
      await a.powerOff(); // once more changes nothing
    });
  });

  it('leaves each host the folders that it has for itself, with what was written there', async () => {
    await withLab({ hosts: ['a', 'b'] }, async (lab) => {
      const [a, b] = [lab.host('a'), lab.host('b')];
      await a.exec(['sh', '-c', 'mkdir /srv/d3 && echo of a >/srv/d3/file']);
      expect((await b.exec(['ls', '/srv'])).stdout).toBe('');
      await a.powerOff();
      await a.powerOn();
      expect((await a.exec(['cat', '/srv/d3/file'])).stdout).toBe('of a\n');
      expect(existsSync('/srv/d3/file')).toBe(false);
    });
  });

  it('is a new boot with initial addresses when it comes back; its disk is what it was', async () => {
    await withLab({ hosts: ['a', 'b'] }, async (lab) => {
      const a = lab.host('a');
      const bootId = async (): Promise<string> =>
        (await a.exec(['cat', '/proc/sys/kernel/random/boot_id'])).stdout.trim();
      const before = await bootId();
      expect(before).toBe(a.bootId());
      expect(before).not.toBe(readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
      mkdirSync(a.dir, { recursive: true });
      writeFileSync(join(a.dir, 'kept'), 'on disk');
      await a.exec(['ip', 'addr', 'add', '10.77.0.100/24', 'dev', 'eth0']);
      await a.exec(['sh', '-c', 'echo lost >/run/lost; echo 10.9.9.9 known >>/etc/hosts']);
      expect(await hears(lab.host('b'), '10.77.0.100')).toBe(true);

      await a.powerOff();
      await a.powerOn();

      expect(await bootId()).not.toBe(before);
      expect(await bootId()).toBe(a.bootId());
      expect(await hears(lab.host('b'), '10.77.0.11')).toBe(true);
      expect(await hears(lab.host('b'), '10.77.0.100')).toBe(false);
      const seen = await a.exec([
        'sh',
        '-c',
        `cat ${join(a.dir, 'kept')}; ls /run/lost /run/systemd; grep known /etc/hosts`,
      ]);
      expect(seen.stdout).toContain('on disk');
      expect(seen.stdout).toContain('10.9.9.9 known');
      expect(seen.stdout).not.toContain('/run/');
      expect(readFileSync('/etc/hosts', 'utf8')).not.toContain('10.9.9.9');
    });
  });

  it('freezes and thaws as a whole, and heals', async () => {
    await withLab({ hosts: ['a', 'b'] }, async (lab) => {
      const a = lab.host('a');
      await startOn(a, 'sleep', '1001');
      await startOn(a, 'sleep', '1002');
      await a.freeze();
      expect(a.views().map(({ state }) => state)).toEqual(['frozen', 'frozen']);
      await a.thaw();
      expect(a.views().map(({ state }) => state)).toEqual(['running', 'running']);
      await a.freeze();
      await lab.host('b').powerOff();
      await lab.heal();
      expect(a.views().map(({ state }) => state)).toEqual(['running', 'running']);
      expect(await hears(a, 'b')).toBe(true);
    });
  });

  it('touches only processes of the host it is told', async () => {
    await withLab({ hosts: ['a', 'b'] }, async (lab) => {
      const { pid } = await startOn(lab.host('a'), 'sleep', '1001');
      await expect(lab.host('b').killProcess(pid)).rejects.toThrow(LabError);
      await expect(lab.host('a').killProcess(process.pid)).rejects.toThrow(LabError);
      await lab.host('a').killProcess(pid);
      expect(lab.host('a').processes()).toEqual([]);
      const status = await labStatus(lab.dir);
      expect(status.kind === 'up' && status.tied && status.hosts.map(({ power }) => power)).toEqual([
        'on',
        'on',
      ]);
    });
  });
});

describe('a program on a host', () => {
  it('has its pid, input, environment, output and status', async () => {
    await withLab({ hosts: ['a'] }, async (lab) => {
      const done = await lab.host('a').exec(['sh', '-c', 'cat; echo $WORD >&2; pwd; exit 3'], {
        input: 'in\n',
        env: { WORD: 'word' },
        cwd: '/usr',
      });
      expect(done).toEqual({ status: 3, stdout: 'in\n/usr\n', stderr: 'word\n', timedOut: false });
    });
  });

  it('is ended with its children at its time limit', async () => {
    await withLab({ hosts: ['a'] }, async (lab) => {
      const done = await lab.host('a').exec(['sh', '-c', 'sleep 1001 & sleep 1002'], { timeoutMs: 100 });
      expect([done.timedOut, done.status]).toEqual([true, 137]);
      await until('its children are gone', () => lab.host('a').processes().length === 0);
    });
  });
});
