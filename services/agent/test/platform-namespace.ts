/**
 * Two hosts on one wire: network namespaces joined by a veth pair, and the platform running inside one of them. Needs root.
 */
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Platform } from '../src/platform/platform.ts';

const CALL_MS = 10_000;

export interface Timed<T> {
  readonly value: T;
  readonly ms: number;
}

type Port = Exclude<keyof Platform, 'missing'>;
type Method<P extends Port> = keyof Platform[P] & string;
type Args<P extends Port, M extends Method<P>> = Platform[P][M] extends (...args: infer A) => unknown
  ? A
  : never;
type Value<P extends Port, M extends Method<P>> = Platform[P][M] extends (...args: never[]) => infer R
  ? Awaited<R>
  : never;

/** A platform that runs in a namespace. */
export interface Actor {
  readonly pid: number;
  call<P extends Port, M extends Method<P>>(
    port: P,
    method: M,
    ...args: Args<P, M>
  ): Promise<Timed<Value<P, M>>>;
  end(): Promise<void>;
}

export interface Wire {
  /** The namespace of the host under test, and of its neighbour. Both have an interface called wire0. */
  readonly here: string;
  readonly there: string;
  /** Runs a program in a namespace and returns what it printed. */
  inside(namespace: string, ...argv: readonly string[]): string;
  remove(): void;
}

export const canMakeNamespaces = process.getuid?.() === 0;

export function createWire(): Wire {
  const id = `hfplat-${randomBytes(3).toString('hex')}`;
  const [here, there] = [`${id}-a`, `${id}-b`];
  const ip = (...argv: readonly string[]): string =>
    execFileSync('ip', argv, { encoding: 'utf8', timeout: CALL_MS });
  const remove = (): void => {
    for (const name of [here, there]) {
      if (ip('netns', 'list').includes(name)) ip('netns', 'del', name);
    }
  };
  try {
    for (const name of [here, there]) ip('netns', 'add', name);
    ip('-n', here, 'link', 'add', 'wire0', 'type', 'veth', 'peer', 'name', 'wire0', 'netns', there);
    for (const name of [here, there]) {
      ip('-n', name, 'link', 'set', 'lo', 'up');
      ip('-n', name, 'link', 'set', 'wire0', 'up');
    }
  } catch (error) {
    remove();
    throw error;
  }
  return { here, there, remove, inside: (namespace, ...argv) => ip('netns', 'exec', namespace, ...argv) };
}

export interface ActorOptions {
  /** A program that runs the actor: its own arguments, before those of the actor. */
  readonly through?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export async function createActor(namespace: string, options: ActorOptions = {}): Promise<Actor> {
  const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
  const argv = ['netns', 'exec', namespace, ...(options.through ?? []), process.execPath, '--no-warnings'];
  argv.push('--import', file('./platform-typescript.mjs'), file('./platform-actor.ts'));
  const child = spawn('ip', argv, {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...options.env },
  });
  const waiting = new Map<number, (answer: Timed<unknown>) => void>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    const answer = JSON.parse(line) as Timed<unknown> & { readonly id: number };
    waiting.get(answer.id)?.(answer);
    waiting.delete(answer.id);
  });
  const answerTo = (id: number, what: string): Promise<Timed<unknown>> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no answer to ${what} in ${CALL_MS} ms`)), CALL_MS);
      waiting.set(id, (answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
    });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  let serial = 0;
  await answerTo(0, 'start');
  return {
    pid: child.pid ?? 0,
    call: async (port, method, ...args) => {
      serial += 1;
      const answer = answerTo(serial, `${port}.${method}`);
      child.stdin.write(`${JSON.stringify({ id: serial, port, method, args })}\n`);
      return (await answer) as Timed<Value<typeof port, typeof method>>;
    },
    end: async () => {
      child.stdin.end();
      const timer = setTimeout(() => child.kill('SIGKILL'), CALL_MS);
      await exited;
      clearTimeout(timer);
    },
  };
}

/** Waits until `holds` says true; throws with `what` after `withinMs`. Returns the milliseconds it took. */
export async function eventually(
  what: string,
  withinMs: number,
  holds: () => boolean | Promise<boolean>,
): Promise<number> {
  const began = performance.now();
  while (!(await holds())) {
    if (performance.now() - began > withinMs) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return performance.now() - began;
}
