/**
 * Commands: argument vectors with a limit, never a shell string. A shell would split, expand and re-join what was
 * written, differently for every name with a space in it, on the one night it matters.
 */

import type { Command } from '../names.ts';
import { limits, limitsMs } from './limits.ts';
import type { Place } from './place.ts';
import { readDuration, readFields, readList, wrong } from './place.ts';
import { describe, quote } from './quantity.ts';

const example = 'a list such as ["/path/to/program", "argument"]';
export const commandTimeoutMs = 30_000;

/** Reads an argument vector; empty when it was wrong (reported). */
export function readArgv(place: Place): readonly string[] {
  if (typeof place.raw === 'string') {
    wrong(place, oneString(place.raw));
    return [];
  }
  const argv: string[] = [];
  const entries = readList(place, example, limits.arguments);
  if (Array.isArray(place.raw) && place.raw.length === 0) wrong(place, `is empty; write ${example}`);
  for (const [index, entry] of entries.entries()) {
    const problem = argumentProblem(entry.raw, index === 0);
    if (problem !== null) wrong(entry, problem);
    else argv.push(entry.raw as string);
  }
  return argv;
}

/** Reads `{ command: [...], timeout: 30s }`, or the bare argument vector. */
export function readCommand(place: Place): Command {
  if (Array.isArray(place.raw) || typeof place.raw === 'string') {
    return { argv: readArgv(place), timeoutMs: commandTimeoutMs };
  }
  const fields = readFields(place, ['command', 'timeout'], '{ command: ["/path/to/program"], timeout: 30s }');
  if (fields === null) return { argv: [], timeoutMs: commandTimeoutMs };
  const timeoutMs = readDuration(
    fields.at('timeout'),
    commandTimeoutMs,
    limitsMs.timeoutMin,
    limitsMs.timeoutMax,
  );
  return { argv: readArgv(fields.at('command')), timeoutMs };
}

/**
 * Reads the commands of one hook point: a list of commands, each an argument vector or `{ command, timeout }`. A plain
 * list of texts is one command, as that is what it looks like.
 */
export function readHooks(place: Place): readonly Command[] {
  if (place.raw === undefined) return [];
  if (typeof place.raw === 'string') {
    wrong(place, oneString(place.raw));
    return [];
  }
  if (Array.isArray(place.raw) && place.raw.length > 0 && place.raw.every((entry) => !isNested(entry))) {
    return [{ argv: readArgv(place), timeoutMs: commandTimeoutMs }];
  }
  const commands: Command[] = [];
  for (const entry of readList(
    place,
    'a list of commands such as [["/path/to/program"]]',
    limits.hooksPerPoint,
  )) {
    commands.push(readCommand(entry));
  }
  return commands;
}

function isNested(raw: unknown): boolean {
  return typeof raw === 'object' && raw !== null;
}

function argumentProblem(raw: unknown, program: boolean): string | null {
  if (typeof raw === 'number' || typeof raw === 'boolean') {
    return `${String(raw)} is a ${typeof raw}, not a text; put it in quotes`;
  }
  if (typeof raw !== 'string') return `${describe(raw)} is not a text; write one argument in quotes`;
  if (raw.length > limits.argumentLength)
    return `is ${raw.length} characters long; at most ${limits.argumentLength} are allowed`;
  if (raw.includes('\0')) return 'has a character with code 0; no program can receive it';
  if (!program) return null;
  if (raw.trim() === '') return `${quote(raw)} is not a program; write its path`;
  if (raw.includes('/') && !raw.startsWith('/')) {
    return `${quote(raw)} is a relative path, and a service has no folder it could start from; write the whole path`;
  }
  return null;
}

const shellMeaning = /[|&;<>()$`\\"'*?~#]/;

function oneString(raw: string): string {
  const why = 'is one text, and commands run without a shell that would split it';
  if (raw.trim() === '' || raw.length > 200) return `${quote(raw)} ${why}; write ${example}`;
  const argv = shellMeaning.test(raw) ? ['/bin/sh', '-c', raw] : raw.trim().split(/\s+/);
  return `${quote(raw)} ${why}; write [${argv.map((argument) => JSON.stringify(argument)).join(', ')}]`;
}
