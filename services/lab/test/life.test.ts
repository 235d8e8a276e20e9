import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createLab, downLab, labStatus, LabError, openLab } from '../src/index.ts';
import { run } from '../src/command.ts';
import { marked, signal } from '../src/process.ts';
import { canonicalDir, markOf } from '../src/state.ts';
import { programElsewhere } from './elsewhere.ts';
import { freshDir, hears, until } from './fresh.ts';

async function inFreshDir(story: (dir: string) => Promise<void>): Promise<void> {
  const dir = freshDir();
  try {
    await story(dir);
  } finally {
    try {
      await downLab(join(dir, 'lab-dir'));
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  }
}

const left = (dir: string): number[] => marked(markOf(canonicalDir(dir)));

describe('the life of a lab', () => {
  it('leaves no process and no file when it goes down, and going down again is nothing', async () => {
    await inFreshDir(async (parent) => {
      const dir = join(parent, 'lab-dir');
      const lab = await createLab({ dir, hosts: ['a', 'b'], tied: true });
      lab.host('a').spawn(['sleep', '1001'], { stdio: 'ignore', detached: true });
      await until('a program runs', () => lab.host('a').processes().length === 1);
      await lab.host('a').freeze();
      await lab.host('b').powerOff();
      await expect(createLab({ dir })).rejects.toThrow(/already up/);

      await lab.down();

      expect(left(dir)).toEqual([]);
      expect(existsSync(dir)).toBe(false);
      await downLab(dir);
      expect(await labStatus(dir)).toEqual({ kind: 'down', dir: canonicalDir(dir) });
      await expect(openLab(dir)).rejects.toThrow(/no lab is up/);
    });
  });

  it('is made again over the ruins of one whose anchor was killed and whose files are gone', async () => {
    await inFreshDir(async (parent) => {
      const dir = join(parent, 'lab-dir');
      await createLab({ dir, hosts: ['a', 'b'], tied: true });
      const state = JSON.parse(readFileSync(join(dir, 'lab.json'), 'utf8')) as { anchor: { pid: number } };
      signal(state.anchor.pid, 'SIGKILL');
      await until('the anchor is gone', async () => (await labStatus(dir)).kind === 'ruins');
      await expect((await openLab(dir)).host('a').powerOff()).rejects.toThrow(/in ruins/);
      rmSync(dir, { recursive: true });
      expect((await labStatus(dir)).kind).toBe('ruins');
      const ruins = left(dir);
      expect(ruins.length).toBe(2);

      const lab = await createLab({ dir, hosts: ['a', 'b'], tied: true });

      expect(left(dir).filter((pid) => ruins.includes(pid))).toEqual([]);
      expect(await hears(lab.host('a'), 'b')).toBe(true);
      // From a second handle, as a command in another terminal has it.
      const again = await openLab(dir);
      await again.host('b').powerOff();
      expect(lab.host('b').isOn()).toBe(false);
    });
  });

  it('never uses or removes a directory with other files', async () => {
    await inFreshDir(async (parent) => {
      const dir = join(parent, 'lab-dir');
      mkdirSync(dir);
      writeFileSync(join(dir, 'diary'), 'dear');
      await expect(createLab({ dir })).rejects.toThrow(/holds other files/);
      await downLab(dir);
      expect(readFileSync(join(dir, 'diary'), 'utf8')).toBe('dear');
      await expect(createLab({ dir: '/run/lab' })).rejects.toThrow(LabError);
    });
  });

  it('dies with its owner, even when that is killed', async () => {
    await inFreshDir(async (parent) => {
      const dir = join(parent, 'lab-dir');
      const program = programElsewhere(
        parent,
        `import { createLab } from './lab/index.js';
         const lab = await createLab({ dir: process.argv[2], hosts: ['a', 'b'], tied: true });
         lab.host('a').spawn(['unshare', '--net', 'sleep', '1001'], { stdio: 'ignore', detached: true });
         lab.host('b').spawn(['sh', '-c', 'while :; do sleep 0.01; done'], { stdio: 'ignore', detached: true });
         console.log('up');
         setInterval(() => {}, 1000);`,
      );
      const owner = spawn(process.execPath, [program, dir], { stdio: ['ignore', 'pipe', 'inherit'] });
      try {
        await once(owner.stdout, 'data');
        await until('its programs run', () => left(dir).length >= 5);
        const status = await labStatus(dir);
        expect(status.kind === 'up' && status.tied).toBe(true);
      } finally {
        owner.kill('SIGKILL');
      }
      await until(
        'nothing is left of it',
        async () => (await labStatus(dir)).kind === 'down' && !existsSync(dir),
      );
      expect(left(dir)).toEqual([]);
    });
  });

  it('works for an ordinary user, or tells how to allow it', async () => {
    await inFreshDir(async (parent) => {
      const dir = join(parent, 'lab-dir');
      const program = programElsewhere(
        parent,
        `import { createLab, labStatus, LabError } from './lab/index.js';
         const dir = process.argv[2];
         const told = { uid: process.getuid() };
         try {
           const lab = await createLab({ dir, hosts: ['a', 'b'], tied: true });
           const ping = async (from, to) => (await lab.host(from).exec(['ping', '-n', '-c', '1', '-W', '0.3', to])).status === 0;
           told.hears = await ping('a', 'b');
           told.hears6 = await ping('a', 'b-v6');
           const boot = lab.host('a').bootId();
           told.boot = (await lab.host('a').exec(['cat', '/proc/sys/kernel/random/boot_id'])).stdout.trim() === boot;
           await lab.partition('a', 'b');
           told.partitioned = !(await ping('a', 'b'));
           await lab.rate('a', 'private', 1000000);
           await lab.host('a').pullCable('private');
           lab.host('a').spawn(['sleep', '1001'], { stdio: 'ignore', detached: true });
           await lab.host('a').freeze();
           await lab.host('a').powerOff();
           told.off = lab.host('a').processes().length;
           await lab.heal();
           told.newBoot = lab.host('a').bootId() !== boot;
           told.healed = await ping('b', 'a-private');
           await lab.down();
           told.status = (await labStatus(dir)).kind;
         } catch (error) {
           if (!(error instanceof LabError)) throw error;
           told.fix = error.fix;
         }
         console.log(JSON.stringify(told));`,
      );
      const asUser =
        process.getuid?.() === 0
          ? (['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] as const)
          : (['env'] as const);
      const may = await run([...asUser, 'unshare', '--user', '--map-root-user', '--mount', '--net', 'true']);
      const done = await run([...asUser, process.execPath, program, dir], { timeoutMs: 20_000, cwd: '/' });
      expect(done.stderr).toBe('');
      const uid = process.getuid?.() === 0 ? 65534 : process.getuid?.();
      expect(JSON.parse(done.stdout)).toEqual(
        may.status === 0
          ? {
              uid,
              hears: true,
              hears6: true,
              boot: true,
              partitioned: true,
              off: 0,
              newBoot: true,
              healed: true,
              status: 'down',
            }
          : { uid, fix: expect.stringMatching(/user namespaces/) as unknown },
      );
      expect(left(dir)).toEqual([]);
    });
  });
});
