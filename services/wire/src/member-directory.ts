/**
 * The whole state of a member on disk (`--dir`):
 *
 *   member.json        who it is and whom it knows       pki/authority.crt  pki/authority.key (servers and witnesses)
 *   heartbeat.key      32 bytes (servers and witnesses)   pki/member.crt     pki/member.key
 *   state/  run/  etcd/  journal/                         folders of the processes
 *
 * D1. A directory is a member whole or not at all: it is built beside and renamed into place.
 * D2. Every later change of a file is atomic and durable (durable-file.ts).
 * D3. Secrets are readable by their owner only; a directory that shows them to others is not opened.
 */
import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, rmdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { identifyCertificate, parseCertificate, type WireCredentials } from './certificate.ts';
import { problem, putBack, systemProblem, type DirectoryProblem } from './directory-problem.ts';
import { syncFolder, writeDurably, writeNew } from './durable-file.ts';
import { memberRecordSchema, recordProblem, type KnownMember, type MemberRecord } from './member-record.ts';
import { isHost, withArticle } from './names.ts';
import { errorCode, failed, ok, type Outcome } from './outcome.ts';

export const memberFiles = {
  record: 'member.json',
  authority: 'pki/authority.crt',
  authorityKey: 'pki/authority.key',
  certificate: 'pki/member.crt',
  key: 'pki/member.key',
  heartbeatKey: 'heartbeat.key',
  incarnation: 'state/incarnation',
} as const;

export const heartbeatKeyBytes = 32;
const folders = ['pki', 'state', 'run', 'etcd', 'journal'] as const;

/** What `init` and `join` have to know before there is a directory. Keys and certificates are PEM. */
export interface MemberContents {
  readonly record: MemberRecord;
  readonly authority: string;
  /** Servers and witnesses only, as is the heartbeat key. */
  readonly authorityKey: string | null;
  readonly certificate: string;
  readonly key: string;
  readonly heartbeatKey: Buffer | null;
}

export interface MemberDirectory extends MemberContents {
  /** Absolute. */
  readonly path: string;
  readonly credentials: WireCredentials;
}

type Opened<T> = Outcome<T, DirectoryProblem>;

/** Absolute path of something in the directory, such as pathIn(dir, 'run', 'guard.sock'). */
export const pathIn = (directory: string, ...parts: readonly string[]): string =>
  resolve(directory, ...parts);

async function refuseOccupied(path: string): Promise<DirectoryProblem | null> {
  try {
    const names = await readdir(path);
    if (names.length === 0) return null;
    if (names.includes(memberFiles.record)) {
      const fix = 'choose another --dir, or remove this one if that member is gone';
      return { kind: 'already-a-member', file: path, says: 'is a member already', fix };
    }
    return { kind: 'not-empty', file: path, says: 'is not empty', fix: 'choose an empty or a new --dir' };
  } catch (error) {
    return errorCode(error) === 'ENOENT' ? null : systemProblem('read', path, error).error;
  }
}

async function fill(folder: string, contents: MemberContents, bornSeconds: number): Promise<void> {
  await mkdir(folder, { mode: 0o700 });
  for (const name of folders) await mkdir(join(folder, name), { mode: 0o700 });
  const write = (name: string, text: string | Uint8Array, mode = 0o600): Promise<void> =>
    writeNew(join(folder, name), text, mode);
  await write(memberFiles.authority, contents.authority, 0o644);
  if (contents.authorityKey !== null) await write(memberFiles.authorityKey, contents.authorityKey);
  await write(memberFiles.certificate, contents.certificate, 0o644);
  await write(memberFiles.key, contents.key);
  if (contents.heartbeatKey !== null) await write(memberFiles.heartbeatKey, contents.heartbeatKey);
  // Starts at the wall clock, so that a host that is built again under its old name is not taken for a replay.
  await write(memberFiles.incarnation, `${bornSeconds}\n`);
  await write(memberFiles.record, recordText(contents.record), 0o644);
  for (const name of folders) await syncFolder(join(folder, name));
  await syncFolder(folder);
}

const recordText = (record: MemberRecord): string => `${JSON.stringify(record, null, 2)}\n`;

/** D1: makes a member of a path that is not one yet. The path may be an empty folder; its parents are made. */
export async function createMemberDirectory(
  path: string,
  contents: MemberContents,
): Promise<Opened<MemberDirectory>> {
  const target = resolve(path);
  const invalid = validate(target, contents);
  if (invalid.kind === 'error') return invalid;
  const occupied = await refuseOccupied(target);
  if (occupied !== null) return failed(occupied);
  const building = besides(target);
  try {
    await mkdir(dirname(target), { recursive: true, mode: 0o755 });
    await fill(building, contents, Math.floor(Date.now() / 1000));
    await rename(building, target);
    await syncFolder(dirname(target));
  } catch (error) {
    await discard(building);
    return failed(placeProblem(target, error));
  }
  return openMemberDirectory(target);
}

const besides = (target: string): string =>
  join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}.new`);

async function discard(building: string): Promise<void> {
  try {
    await rm(building, { recursive: true, force: true });
  } catch {
    // What could not be made can't be removed either; the first error is the one that is told.
  }
}

function placeProblem(target: string, error: unknown): DirectoryProblem {
  switch (errorCode(error)) {
    case 'ENOTEMPTY':
    case 'EEXIST':
      return problem(
        'already-a-member',
        target,
        'another process made it just now',
        'look at it before going on',
      ).error;
    case 'EBUSY':
    case 'EXDEV':
      return problem('unwritable', target, 'is a mount point', 'choose a folder below it as --dir').error;
    default:
      return systemProblem('write', target, error).error;
  }
}

/** More than a member's files have. */
const trialBytes = 65_536;

/** What `createMemberDirectory` would meet, tried with a folder that holds no member and goes again. Null: nothing. */
export async function tryMemberDirectory(path: string): Promise<DirectoryProblem | null> {
  const target = resolve(path);
  const occupied = await refuseOccupied(target);
  if (occupied !== null) return occupied;
  const trial = besides(target);
  let parents: string | undefined;
  try {
    const isThere = await exists(target);
    parents = await mkdir(dirname(target), { recursive: true, mode: 0o755 });
    await mkdir(trial, { mode: 0o700 });
    const file = join(trial, memberFiles.record);
    await writeNew(file, Buffer.alloc(trialBytes));
    await rm(file);
    await rename(trial, target);
    if (!isThere) await rmdir(target);
    return null;
  } catch (error) {
    return placeProblem(target, error);
  } finally {
    await discard(trial);
    if (parents !== undefined) await removeEmpty(dirname(target), parents);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/** The folder and those above it, up to `last`. */
async function removeEmpty(folder: string, last: string): Promise<void> {
  for (let at = folder; at.length >= last.length; at = dirname(at)) {
    try {
      await rmdir(at);
    } catch {
      // Somebody uses it by now: it stays.
      return;
    }
  }
}

async function readSecret(path: string): Promise<Opened<Buffer>> {
  try {
    const found = await stat(path);
    if (process.platform !== 'win32' && (found.mode & 0o077) !== 0) {
      const mode = (found.mode & 0o777).toString(8).padStart(4, '0');
      return problem('permissions', path, `others may read this secret (mode ${mode})`, `chmod 600 ${path}`);
    }
    return ok(await readFile(path));
  } catch (error) {
    return systemProblem('read', path, error);
  }
}

async function readPublic(path: string): Promise<Opened<string>> {
  try {
    return ok(await readFile(path, 'utf8'));
  } catch (error) {
    return systemProblem('read', path, error);
  }
}

async function readRecord(directory: string): Promise<Opened<MemberRecord>> {
  const file = join(directory, memberFiles.record);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') return systemProblem('read', file, error);
    const fix = 'run `holdfast init` or `holdfast join` first, or check --dir';
    return problem('not-a-member', directory, 'is not the directory of a member', fix);
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return problem('invalid', file, 'is not JSON; it may be half-written', putBack);
  }
  // Read once: zod would take longer to compile a parser than to do without.
  const parsed = memberRecordSchema.safeParse(json, { jitless: true });
  if (parsed.success) return ok(parsed.data);
  const format: unknown = typeof json === 'object' && json !== null ? Reflect.get(json, 'format') : undefined;
  if (typeof format === 'number' && format > 1) {
    return problem('invalid', file, `has format ${format}`, 'use the newer Holdfast that wrote it');
  }
  return problem('invalid', file, recordProblem(parsed.error), putBack);
}

/** Do the parts belong together? Dates are not judged here: a wrong clock must not make a member unreadable. */
function validate(path: string, contents: MemberContents): Opened<MemberDirectory> {
  const { record } = contents;
  const at = (name: string): string => join(path, name);
  const authority = parseCertificate(contents.authority);
  if (authority === null)
    return problem('invalid', at(memberFiles.authority), 'is not a certificate', putBack);
  const certificate = parseCertificate(contents.certificate);
  if (certificate === null)
    return problem('invalid', at(memberFiles.certificate), 'is not a certificate', putBack);
  const identified = identifyCertificate(certificate, authority, record.cluster, record.id);
  if (identified.kind === 'error') {
    return problem('mismatch', at(memberFiles.certificate), identified.error.says, putBack);
  }
  if (identified.value.peer.role !== record.role) {
    const says = `is for ${withArticle(identified.value.peer.role)}, and ${memberFiles.record} says ${record.role}`;
    return problem('mismatch', at(memberFiles.certificate), says, putBack);
  }
  if (!keyFits(contents.key, certificate)) {
    return problem('mismatch', at(memberFiles.key), 'is not the key of the certificate beside it', putBack);
  }
  if (isHost(record.role)) {
    if (contents.authorityKey === null)
      return problem('missing', at(memberFiles.authorityKey), 'is missing', putBack);
    if (!keyFits(contents.authorityKey, authority)) {
      return problem(
        'mismatch',
        at(memberFiles.authorityKey),
        'is not the key of the authority beside it',
        putBack,
      );
    }
    if (contents.heartbeatKey?.length !== heartbeatKeyBytes) {
      const says = `has ${contents.heartbeatKey?.length ?? 0} bytes instead of ${heartbeatKeyBytes}`;
      return problem('invalid', at(memberFiles.heartbeatKey), says, putBack);
    }
  }
  const { authority: authorityText, certificate: certificateText, key } = contents;
  const credentials = {
    cluster: record.cluster,
    authority: authorityText,
    certificate: certificateText,
    key,
  };
  return ok({ ...contents, path, credentials });
}

function keyFits(pem: string, certificate: X509Certificate): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(pem));
  } catch {
    // OpenSSL throws for a text that is no key at all; that fits nothing.
    return false;
  }
}

/** Reads and checks everything. One problem at a time: the first that a person has to mend. */
export async function openMemberDirectory(path: string): Promise<Opened<MemberDirectory>> {
  const directory = resolve(path);
  const record = await readRecord(directory);
  if (record.kind === 'error') return record;
  for (const name of folders) {
    try {
      await mkdir(join(directory, name), { mode: 0o700, recursive: true });
    } catch (error) {
      return systemProblem('write', join(directory, name), error);
    }
  }
  const host = isHost(record.value.role);
  const authority = await readPublic(join(directory, memberFiles.authority));
  if (authority.kind === 'error') return authority;
  const certificate = await readPublic(join(directory, memberFiles.certificate));
  if (certificate.kind === 'error') return certificate;
  const key = await readSecret(join(directory, memberFiles.key));
  if (key.kind === 'error') return key;
  const authorityKey = host ? await readSecret(join(directory, memberFiles.authorityKey)) : ok(null);
  if (authorityKey.kind === 'error') return authorityKey;
  const heartbeatKey = host ? await readSecret(join(directory, memberFiles.heartbeatKey)) : ok(null);
  if (heartbeatKey.kind === 'error') return heartbeatKey;
  return validate(directory, {
    record: record.value,
    authority: authority.value,
    authorityKey: authorityKey.value?.toString('utf8') ?? null,
    certificate: certificate.value,
    key: key.value.toString('utf8'),
    heartbeatKey: heartbeatKey.value,
  });
}

/** Replaces the known members (D2). Writes nothing when nothing changed. */
export async function updateKnownMembers(
  directory: MemberDirectory,
  members: readonly KnownMember[],
): Promise<Opened<MemberDirectory>> {
  return updateRecord(directory, { ...directory.record, members });
}

/** Replaces member.json (D2); cluster, id and role can't change. */
export async function updateRecord(
  directory: MemberDirectory,
  next: MemberRecord,
): Promise<Opened<MemberDirectory>> {
  const file = join(directory.path, memberFiles.record);
  const { cluster, id, role } = directory.record;
  if (next.cluster !== cluster || next.id !== id || next.role !== role) {
    throw new Error('a member never changes its cluster, id or role');
  }
  const parsed = memberRecordSchema.safeParse(next);
  if (!parsed.success) return problem('invalid', file, recordProblem(parsed.error), 'nothing was written');
  const text = recordText(parsed.data);
  if (text === recordText(directory.record)) return ok(directory);
  try {
    await writeDurably(file, text, 0o644);
  } catch (error) {
    return systemProblem('write', file, error);
  }
  return ok({ ...directory, record: parsed.data });
}
