import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { lockDirectory } from '../src/directory-lock.ts';
import { describeProblem, isLost } from '../src/directory-problem.ts';
import { writeDurably } from '../src/durable-file.ts';
import { nextIncarnation } from '../src/incarnation.ts';
import {
  createMemberDirectory,
  memberFiles,
  openMemberDirectory,
  tryMemberDirectory,
  updateKnownMembers,
  type MemberContents,
  type MemberDirectory,
} from '../src/member-directory.ts';
import { defaultPorts } from '../src/member-record.ts';
import { cluster, contents, error, inFolder, member, value, type Cluster } from './cluster.ts';

let acme: Cluster;
let server: MemberContents;
beforeAll(async () => {
  acme = await cluster();
  server = await contents(acme, 'server', 'a');
});

const inDirectory = <T>(story: (directory: MemberDirectory) => Promise<T>): Promise<T> =>
  inFolder(async (folder) => story(value(await createMemberDirectory(join(folder, 'a'), server))));

describe('a member directory', () => {
  it('opens as it was made', async () => {
    await inDirectory(async (made) => {
      const opened = value(await openMemberDirectory(made.path));
      expect(opened).toEqual(made);
      expect(opened.record).toEqual(server.record);
      expect(opened.heartbeatKey).toEqual(server.heartbeatKey);
      for (const secret of [memberFiles.key, memberFiles.authorityKey, memberFiles.heartbeatKey]) {
        expect((await stat(join(made.path, secret))).mode & 0o777).toBe(0o600);
      }
      expect((await stat(made.path)).mode & 0o777).toBe(0o700);
    });
  });

  it('of an operator has no keys of the cluster', async () => {
    await inFolder(async (folder) => {
      const made = value(
        await createMemberDirectory(join(folder, 'o'), await contents(acme, 'operator', 'o')),
      );
      expect([made.authorityKey, made.heartbeatKey]).toEqual([null, null]);
      expect(await readdir(join(made.path, 'pki'))).toEqual(['authority.crt', 'member.crt', 'member.key']);
    });
  });

  it('is tried for beforehand, and nothing of that stays', async () => {
    await inFolder(async (folder) => {
      expect(await tryMemberDirectory(join(folder, 'deep', 'er', 'a'))).toBeNull();
      expect(await readdir(folder)).toEqual([]);
      await mkdir(join(folder, 'a'));
      expect(await tryMemberDirectory(join(folder, 'a'))).toBeNull();
      expect([await readdir(folder), await readdir(join(folder, 'a'))]).toEqual([['a'], []]);
      value(await createMemberDirectory(join(folder, 'a'), server));
      expect((await tryMemberDirectory(join(folder, 'a')))?.kind).toBe('already-a-member');
    });
  });

  it('is made once, and never over something else', async () => {
    await inFolder(async (folder) => {
      const path = join(folder, 'deep', 'er', 'a');
      const both = await Promise.all([
        createMemberDirectory(path, server),
        createMemberDirectory(path, server),
      ]);
      expect(both.map((made) => made.kind).sort()).toEqual(['error', 'ok']);
      expect(error(await createMemberDirectory(path, server)).kind).toBe('already-a-member');
      expect(await readdir(join(folder, 'deep', 'er'))).toEqual(['a']);
      await mkdir(join(folder, 'full'));
      await writeFile(join(folder, 'full', 'something'), '');
      expect(error(await createMemberDirectory(join(folder, 'full'), server)).kind).toBe('not-empty');
      await mkdir(join(folder, 'empty'));
      expect((await createMemberDirectory(join(folder, 'empty'), server)).kind).toBe('ok');
    });
  });

  it('is not made of parts that do not belong together', async () => {
    await inFolder(async (folder) => {
      const other = await member(acme, 'server', 'b');
      const mixed = { ...server, certificate: other.certificate };
      const found = error(await createMemberDirectory(join(folder, 'a'), mixed));
      expect(found).toMatchObject({ kind: 'mismatch', says: 'expected a there, and b answered' });
      expect(await readdir(folder)).toEqual([]);
    });
  });

  it('that is none is told from a broken one', async () => {
    await inFolder(async (folder) => {
      const found = error(await openMemberDirectory(join(folder, 'nothing')));
      expect(describeProblem(found)).toBe(
        `${join(folder, 'nothing')}: is not the directory of a member; run \`holdfast init\` or \`holdfast join\` first, or check --dir`,
      );
      expect(await readdir(folder)).toEqual([]);
    });
  });

  it.each([
    [memberFiles.record, 'invalid'],
    [memberFiles.authority, 'invalid'],
    [memberFiles.certificate, 'invalid'],
    [memberFiles.key, 'mismatch'],
    [memberFiles.authorityKey, 'mismatch'],
    [memberFiles.heartbeatKey, 'invalid'],
  ])('with a half-written %s says so', async (file, kind) => {
    await inDirectory(async ({ path }) => {
      const { size } = await stat(join(path, file));
      await truncate(join(path, file), Math.floor(size / 2));
      expect(error(await openMemberDirectory(path))).toMatchObject({ kind, file: join(path, file) });
    });
  });

  it.each(
    Object.values(memberFiles).filter(
      (file) => file !== memberFiles.incarnation && file !== memberFiles.record,
    ),
  )('without %s says so', async (file) => {
    await inDirectory(async ({ path }) => {
      await rm(join(path, file));
      expect(error(await openMemberDirectory(path))).toMatchObject({
        kind: 'missing',
        file: join(path, file),
        // Its etcd would forget what it voted for.
        fix: expect.stringContaining('never the whole directory from a backup') as unknown,
      });
    });
  });

  it('that shows a secret to others is not opened', async () => {
    await inDirectory(async ({ path }) => {
      const file = join(path, memberFiles.key);
      await chmod(file, 0o640);
      expect(error(await openMemberDirectory(path))).toMatchObject({
        kind: 'permissions',
        file,
        fix: `chmod 600 ${file}`,
      });
    });
  });

  it.each([
    ['an unknown key', { surprise: 1 }, 'surprise'],
    ['a bad address', { addresses: ['10.77.0.300'] }, 'addresses.0: not an IPv4 or IPv6 address'],
    ['a later format', { format: 2 }, 'has format 2'],
    ['another name', { id: 'b' }, 'expected b there, and a answered'],
    ['another role', { role: 'witness' }, 'is for a server, and member.json says witness'],
  ])('with %s in its record says so', async (_, change, says) => {
    await inDirectory(async ({ path, record }) => {
      await writeFile(join(path, memberFiles.record), JSON.stringify({ ...record, ...change }));
      expect(describeProblem(error(await openMemberDirectory(path)))).toContain(says);
    });
  });

  it('remembers the members it hears of', async () => {
    await inDirectory(async (directory) => {
      const known = {
        id: 'b',
        role: 'server',
        addresses: ['10.77.0.12'],
        ports: defaultPorts,
        voter: true,
      } as const;
      const next = value(await updateKnownMembers(directory, [known]));
      expect(value(await openMemberDirectory(directory.path)).record.members).toEqual([known]);
      const before = await stat(join(directory.path, memberFiles.record), { bigint: true });
      await updateKnownMembers(next, [known]);
      expect((await stat(join(directory.path, memberFiles.record), { bigint: true })).ino).toBe(before.ino);
      const wrong = { ...known, id: 'NOT A NAME' };
      expect(error(await updateKnownMembers(next, [wrong])).kind).toBe('invalid');
      expect(value(await openMemberDirectory(directory.path)).record.members).toEqual([known]);
    });
  });
});

describe('a durable write', () => {
  it('leaves the old contents and nothing else when it fails', async () => {
    await inFolder(async (folder) => {
      const path = join(folder, 'state');
      await writeDurably(path, 'old');
      await writeDurably(path, 'new');
      expect(await readFile(path, 'utf8')).toBe('new');
      await mkdir(join(folder, 'taken'));
      await expect(writeDurably(join(folder, 'taken'), 'x')).rejects.toMatchObject({ code: 'EISDIR' });
      expect((await readdir(folder)).sort()).toEqual(['state', 'taken']);
    });
  });
});

describe('the incarnation', () => {
  it('rises by one with every start, also over a directory that was made again', async () => {
    await inDirectory(async ({ path }) => {
      const first = value(await nextIncarnation(path));
      expect(first).toBeGreaterThan(BigInt(Math.floor(Date.now() / 1000) - 60));
      expect(value(await nextIncarnation(path))).toBe(first + 1n);
    });
  });

  it('never starts again from nothing', async () => {
    await inDirectory(async ({ path }) => {
      await writeFile(join(path, memberFiles.incarnation), '');
      expect(error(await nextIncarnation(path))).toMatchObject({ kind: 'invalid' });
      await rm(join(path, memberFiles.incarnation));
      const missing = error(await nextIncarnation(path));
      expect(missing).toMatchObject({
        kind: 'missing',
        fix: expect.stringContaining('holdfast remove') as unknown,
      });
      expect(isLost(missing)).toBe(true);
    });
  });
});

describe('the lock of a directory', () => {
  it('is held once', async () => {
    await inDirectory(async ({ path }) => {
      const lock = value(await lockDirectory(path));
      expect(error(await lockDirectory(path))).toMatchObject({ kind: 'locked' });
      expect(error(await lockDirectory(`${path}/../a/`)).says).toContain(`process ${process.pid}`);
      await lock.release();
      await lock.release();
      await value(await lockDirectory(path)).release();
    });
  });

  it('is free again when its holder was killed', async () => {
    await inDirectory(async ({ path }) => {
      const { dev, ino } = await stat(path);
      const name = `holdfast-run-${dev.toString(16)}-${ino.toString(16)}`;
      const script = `require('net').createServer().listen('\\0${name}', () => console.log('held')); setTimeout(() => {}, 20000);`;
      const holder = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
      try {
        await once(holder.stdout, 'data');
        expect(error(await lockDirectory(path)).kind).toBe('locked');
      } finally {
        holder.kill('SIGKILL');
        await once(holder, 'exit');
      }
      await value(await lockDirectory(path)).release();
    });
  });

  it('is seen from another network namespace by the process that wrote itself down, and only while that lives', async () => {
    await inDirectory(async ({ path }) => {
      const holder = spawn('sleep', ['20'], { stdio: 'ignore' });
      const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
      const fields = (await readFile(`/proc/${holder.pid ?? 0}/stat`, 'utf8')).split(' ');
      const note = { pid: holder.pid, start: fields[21], boot };
      const file = join(path, 'run', 'run.lock');
      try {
        await writeFile(file, JSON.stringify({ ...note, start: '1' }));
        await value(await lockDirectory(path)).release();
        await writeFile(file, JSON.stringify(note));
        expect(error(await lockDirectory(path)).says).toContain(`process ${holder.pid ?? 0}`);
      } finally {
        holder.kill('SIGKILL');
        await once(holder, 'exit');
      }
      await value(await lockDirectory(path)).release();
      await writeFile(file, '{"pid":');
      await value(await lockDirectory(path)).release();
    });
  });
});
