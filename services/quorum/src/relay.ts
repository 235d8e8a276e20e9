/**
 * What the agent of this host hears and sends, as it happens, over a Unix socket: one JSON object per line. Boot
 * times are of this host, so they need no translation. When the agent is gone the quorum service is blind, and knows.
 */

import { createConnection, type Socket } from 'node:net';
import { mirrorStates, type Heartbeat } from '@holdfast/core';
import * as z from 'zod';

export interface RelayListener {
  heard(from: string, path: number, heartbeat: Heartbeat): void;
  connected(yes: boolean): void;
  garbled(says: string): void;
}

export interface Relay {
  close(): void;
}

const retryMs = 200;
const lineBytesMax = 262_144;

const epoch = z
  .string()
  .regex(/^\d{1,20}$/)
  .transform((s) => BigInt(s));

const line = z.object({
  from: z.string().min(1).max(63),
  path: z.number().int().min(0).max(15),
  heartbeat: z.object({
    kind: z.literal('heartbeat'),
    sentAt: z.number(),
    echo: z.object({ sentAt: z.number(), ageMs: z.number() }).nullable(),
    version: z.string(),
    bootId: z.string().min(1).max(64).optional(),
    leaving: z.boolean(),
    addresses: z.array(z.string()),
    groups: z.array(
      z.object({
        group: z.string(),
        epoch,
        state: z.enum(['acquiring', 'active', 'releasing', 'fenced', 'failed']),
        drained: z.array(z.string()).optional(),
      }),
    ),
    vantage: z.array(
      z.object({ member: z.string(), path: z.number(), ageMs: z.number(), rttMs: z.number().nullable() }),
    ),
    diagnoses: z.array(z.object({ member: z.string(), path: z.number(), says: z.string() })),
    mirrors: z
      .array(
        z.object({
          mirror: z.string(),
          epoch,
          target: z.string(),
          state: z.enum(mirrorStates),
          consistent: z.boolean(),
          behindBytes: z.number(),
          behindMs: z.number(),
          totalBytes: z.number(),
          doneBytes: z.number(),
          rateBytesPerSecond: z.number(),
          says: z.string(),
          export: z.string().optional(),
          hot: z.object({ count: z.number(), named: z.array(z.string()) }).optional(),
        }),
      )
      .optional(),
  }),
});

export function openRelay(path: string, on: RelayListener): Relay {
  let closed = false;
  let socket: Socket | null = null;
  let timer: NodeJS.Timeout | null = null;
  let wasConnected = false;

  const connect = (): void => {
    const lines = lineReader(on);
    socket = createConnection(path);
    socket.setEncoding('utf8');
    socket.on('connect', () => {
      wasConnected = true;
      on.connected(true);
    });
    socket.on('data', (chunk: string) => lines(chunk));
    // Every error is followed by a close, and there the next try begins.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (wasConnected) on.connected(false);
      wasConnected = false;
      if (!closed) timer = setTimeout(connect, retryMs);
    });
  };
  connect();
  return {
    close() {
      closed = true;
      if (timer !== null) clearTimeout(timer);
      socket?.destroy();
    },
  };
}

function lineReader(on: RelayListener): (chunk: string) => void {
  let pending = '';
  return (chunk) => {
    pending += chunk;
    const lines = pending.split('\n');
    pending = lines.pop() ?? '';
    if (pending.length > lineBytesMax) {
      pending = '';
      on.garbled('a line of the relay is too long');
    }
    for (const text of lines) take(text, on);
  };
}

function take(text: string, on: RelayListener): void {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    on.garbled('a line of the relay is not JSON');
    return;
  }
  const parsed = line.safeParse(raw);
  if (!parsed.success) {
    on.garbled(`a line of the relay is malformed: ${parsed.error.issues[0]?.path.join('.') ?? ''}`);
    return;
  }
  on.heard(parsed.data.from, parsed.data.path, parsed.data.heartbeat);
}
