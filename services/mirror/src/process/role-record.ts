/**
 * Which role this copy had last, on disk: DIR/mirror/NAME/role.json. It tells whether a mirror may become a source: one
 * that was opened at an epoch, or that never was a target of anybody.
 */

import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Epoch } from '@holdfast/core';
import { errorCode, errorText, writeDurably } from '@holdfast/wire/directory';
import * as z from 'zod';

export type RoleRecord =
  /** It never was anything, or its order was taken away. */
  | { readonly kind: 'none' }
  | { readonly kind: 'source'; readonly epoch: Epoch }
  | { readonly kind: 'target' };

/** What is on disk can't be read: nothing is concluded from it. */
export interface Unreadable {
  readonly kind: 'unreadable';
  readonly says: string;
}

const epoch = z
  .string()
  .regex(/^\d{1,20}$/)
  .transform((digits) => BigInt(digits));
const record = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('none') }),
  z.strictObject({ kind: z.literal('source'), epoch }),
  z.strictObject({ kind: z.literal('target') }),
]);

const fileIn = (dir: string): string => join(dir, 'role.json');

/** `dir`: of the mirror. */
export async function readRole(dir: string): Promise<RoleRecord | Unreadable> {
  let text: string;
  try {
    text = await readFile(fileIn(dir), 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return { kind: 'none' };
    return { kind: 'unreadable', says: `${fileIn(dir)}: ${errorText(error)}` };
  }
  const parsed = record.safeParse(jsonOf(text));
  return parsed.success ? parsed.data : { kind: 'unreadable', says: `${fileIn(dir)} is damaged` };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Whatever it is, it is no record.
    return null;
  }
}

/** Null when it is on disk; otherwise why not. */
export async function writeRole(dir: string, role: RoleRecord): Promise<string | null> {
  const plain = role.kind === 'source' ? { ...role, epoch: role.epoch.toString() } : role;
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    await writeDurably(fileIn(dir), `${JSON.stringify(plain)}\n`);
    return null;
  } catch (error) {
    return `${fileIn(dir)}: ${errorText(error)}`;
  }
}
